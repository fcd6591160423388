// Section Distributions: what the rules measured, what the shards hold, and where it comes from.

const STREAM_MEASURES = {
  text_length: "Characters of a text",
  caption_length: "Characters of a caption",
  images_per_document: "Images of a document",
  image_width: "Width of an image",
  image_height: "Height of an image",
  image_aspect: "Longer side by shorter",
};
/** What scores are of, as the report and as its rules call it. */
const KINDS_SCORED = {
  captions: ["caption"],
  "images of documents": ["image"],
  pages: ["page", "document", "text"],
  paragraphs: ["paragraph"],
};
const OF_IMAGES = ["image_width", "image_height", "image_aspect"];

function hasDistributions(report) {
  const shown = [...Object.keys(STREAM_MEASURES), "image_shape", "captions_by_origin"];
  return (
    report.rules?.some((rule) => rule.histogram) ||
    Object.keys(report.scores ?? {}).length > 0 ||
    Object.values(report.streams ?? {}).some((facts) => shown.some((key) => facts[key]))
  );
}

function drawDistributions(report, box) {
  const judged = (report.rules ?? []).filter((rule) => rule.histogram?.rows.length);
  if (judged.length) {
    box.append(
      heading(3, "Values that the rules looked at"),
      note("Thresholds are drawn in; a click on a name leads to the rule."),
      legend(JUDGED_LEGEND),
    );
    for (const [gate, rules] of grouped(judged, (rule) => rule.gate)) {
      box.append(
        heading(4, el("code", {}, gate)),
        el(
          "div",
          { class: "grid" },
          rules.map((rule) => ruleHistogram(rule, "small")),
        ),
      );
    }
  }
  for (const [what, scores] of Object.entries(report.scores ?? {})) {
    const figures = scoreFigures(scores, report.rules ?? [], what);
    if (figures.length)
      box.append(heading(3, `Scores of ${what}`), el("div", { class: "grid" }, figures));
  }
  for (const [stream, facts] of Object.entries(report.streams ?? {})) {
    const figures = streamFigures(facts);
    if (figures.length)
      box.append(
        heading(3, `${streamTitle(stream)} in the shards`),
        el("div", { class: "grid" }, figures),
      );
  }
}

/** Items by key, in the order of their first. @returns {Map<string, Array>} */
function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}

/** Distributions of scores, with the thresholds of the rules that are about just this score. */
function scoreFigures(scores, rules, what) {
  return Object.entries(scores)
    .filter(([, found]) => found?.histogram?.length)
    .map(([name, found]) => {
      const judging = rules.filter(
        (rule) => KINDS_SCORED[what]?.includes(rule.kind) && rule.expression === name,
      );
      const limits = new Map(judging.flatMap(conditionWords).map((limit) => [limit.label, limit]));
      return distributionFigure(words(name), found, {
        unit: "values",
        limits: [...limits.values()],
        size: "small",
        tails: true,
      });
    });
}

function streamFigures(facts) {
  const found = Object.entries(STREAM_MEASURES)
    .filter(([key]) => facts[key]?.histogram?.length)
    .map(([key, title]) =>
      distributionFigure(title, facts[key], {
        unit: OF_IMAGES.includes(key) ? "images" : "samples",
        size: "small",
      }),
    );
  if (facts.image_shape) {
    found.push(
      barsFigure({
        kind: "shapes",
        title: "Orientation of images",
        unit: "images",
        size: "small",
        rows: Object.entries(facts.image_shape).map(([label, value]) => ({ label, value })),
      }),
    );
  }
  if (facts.captions_by_origin?.length) {
    found.push(
      barsFigure({
        kind: "origins",
        title: "Captions by origin",
        unit: "captions",
        size: "small",
        rows: facts.captions_by_origin.map((one) => ({
          label: one.origin ?? "unknown",
          value: one.captions,
        })),
      }),
    );
  }
  return found;
}
