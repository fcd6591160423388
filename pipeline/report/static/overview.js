// The head of the page, and section Overview: what the corpus is, in a screen.

const STREAM_TITLES = {
  captioned: "Captioned images",
  interleaved: "Interleaved documents",
  text: "Text",
};

/** The name of a stream to people. @param {string} stream @returns {string} */
function streamTitle(stream) {
  return STREAM_TITLES[stream] ?? stream;
}

function drawHead(report, head) {
  const facts = [];
  if (report.recipe)
    facts.push(["recipe", report.recipe.name], ["fingerprint", report.recipe.fingerprint]);
  if (report.inputs)
    facts.push([
      "input",
      `${counted(report.inputs.files, "file")}, ${byteSize(report.inputs.bytes)}`,
    ]);
  facts.push(["output", report.output]);
  head.append(
    el("p", { class: "kicker" }, "Corpus report"),
    el("h1", {}, strange(shorten(report.title || report.output || "corpus", 120))),
    el(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, strange(shorten(value ?? "", 300)))),
      ),
    ),
    themeChoice(),
  );
}

/** Light, dark, or what the system asks for. */
function themeChoice() {
  const themes = ["auto", "light", "dark"];
  return choice("Colours", themes, (chosen) => {
    document.documentElement.dataset.theme = themes[chosen];
  });
}

function drawOverview(report, box) {
  if (report.problems?.length) box.append(problemList(report.problems));
  else if (!report.complete) box.append(el("p", { class: "notice" }, "The run is not complete."));
  box.append(tiles(report));
  if (report.judged) box.append(judgedNote(report.judged));
  if (report.balance?.length) box.append(balanceFigure(report.balance, report.token_estimate));
  if (report.contamination) box.append(...contaminationParts(report.contamination));
  if (Object.keys(report.versions ?? {}).length) box.append(versionList(report.versions));
}

function problemList(problems) {
  return el(
    "div",
    { class: "notice", role: "alert" },
    el("strong", {}, `${counted(problems.length, "problem")}: `),
    el(
      "ul",
      {},
      problems.map((problem) => el("li", {}, strange(problem))),
    ),
  );
}

function judgedNote({ parts, of_parts: all, rows }) {
  const of = `${count(rows)} rows of ${count(parts)}`;
  return note(
    parts === all
      ? `Rules, explorer, slices and galleries looked at all parts: ${of} parts.`
      : `Rules, explorer, slices and galleries looked at a sample: ${of} of ${count(all)} parts. ` +
          "Funnels, streams and times are of everything.",
  );
}

/** The figures that one asks for first. */
function tiles(report) {
  const found = Object.entries(report.streams ?? {}).map(([stream, facts]) => [
    streamTitle(stream),
    count(facts.samples),
    [
      "samples",
      facts.shards === undefined ? null : counted(facts.shards, "shard"),
      facts.bytes === undefined ? null : byteSize(facts.bytes),
      facts.images ? counted(facts.images, "image") : null,
    ],
    stream,
  ]);
  const seconds = sum((report.time ?? []).map((stage) => stage.seconds));
  if (report.time?.length)
    found.push(["Time", duration(seconds), [counted(report.time.length, "stage")], ""]);
  if (report.fetch?.urls) {
    found.push([
      "Images fetched",
      count(report.fetch.ok),
      [`of ${count(report.fetch.urls)} URLs`, byteSize(report.fetch.bytes)],
      "",
    ]);
  }
  return el(
    "dl",
    { class: "tiles" },
    found.map(([name, value, details, stream]) =>
      el(
        "div",
        { class: `tile ${stream}` },
        el("dt", {}, name),
        el(
          "dd",
          {},
          el("span", { class: "figure" }, value),
          el("span", { class: "quiet" }, details.filter(Boolean).join(" · ")),
        ),
      ),
    ),
  );
}

/** How tokens are estimated. */
function tokenWords(estimate) {
  if (!estimate) return "Samples are counted, tokens estimated.";
  const characters = measure(estimate.characters_per_token);
  const image = counted(estimate.tokens_per_image, "token");
  const rates = `${characters} characters a token, ${image} an image`;
  return `Samples are counted; tokens are an estimate: ${rates}.`;
}

function balanceFigure(balance, estimate) {
  const rowOf = (label, key) => ({
    label,
    parts: balance
      .filter((one) => one[key] !== null && one[key] !== undefined)
      .map((one) => ({ name: streamTitle(one.stream), share: one[key], kind: one.stream })),
  });
  const rows = [
    rowOf("samples", "share_of_samples"),
    rowOf("tokens", "share_of_tokens"),
    rowOf("recipe", "wanted"),
  ];
  const drawn = rows.filter((row) => row.parts.length);
  const words = balance.map(
    (one) =>
      `${streamTitle(one.stream)} ${percent(one.share_of_samples ?? 0)} of samples, ` +
      `${percent(one.share_of_tokens ?? 0)} of tokens` +
      (one.wanted === null || one.wanted === undefined ? "" : `, ${percent(one.wanted)} asked for`),
  );
  return figure({
    kind: "balance",
    title: "Balance of the streams against the recipe's mixture",
    summary: `${words.join("; ")}.`,
    legend: legend(balance.map((one) => [one.stream, streamTitle(one.stream)])),
    draw: (width) => sharesSvg(drawn, width),
    after: note(tokenWords(estimate)),
    table: () => ({
      columns: ["stream", "samples", "share", "tokens (estimate)", "share", "recipe"].map(
        (title, i) => ({ title, number: i > 0 }),
      ),
      rows: balance.map((one) => [
        streamTitle(one.stream),
        count(one.samples),
        percent(one.share_of_samples ?? 0),
        count(one.tokens),
        percent(one.share_of_tokens ?? 0),
        one.wanted === null || one.wanted === undefined ? "not given" : percent(one.wanted),
      ]),
    }),
  });
}

function contaminationParts(found) {
  return [
    heading(3, "Evaluation items found and removed"),
    note(
      `${counted(found.removed, "row")} held an item of ${counted(found.benchmarks, "benchmark")}.`,
    ),
    found.by_benchmark?.length
      ? dataTable({
          caption: "Removed by benchmark",
          columns: ["benchmark", "items", "documents", "texts", "captions", "images"].map(
            (title, i) => ({ title, number: i > 0 }),
          ),
          rows: found.by_benchmark.map((one) => [
            strange(one.benchmark),
            ...["items", "documents", "texts", "captions", "images"].map((key) => count(one[key])),
          ]),
        })
      : null,
  ].filter(Boolean);
}

function versionList(versions) {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return el(
    "details",
    {},
    el("summary", {}, "Versions"),
    el("p", { class: "note" }, strange(names.join(", "))),
  );
}
