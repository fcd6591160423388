// Histograms whose bins have the same width whatever they span, with thresholds drawn in.

/**
 * @typedef {Object} Bin
 * @property {number} rows
 * @property {number} [failed] of the rows, those that the rule drops
 * @property {number} [others] of the rows, those that pass every other rule
 * @property {string} tip
 *
 * @typedef {Object} Limit
 * @property {number} at the edge it stands at; 0 is left of the first bin
 * @property {string} label
 */

const PLOT = { top: 32, bottom: 26, left: 44, right: 12 };

/** What lies in a bin, in words.
 * @param {Array<[number, number]>} cuts @param {number} bin from 0 */
function binWords(cuts, bin) {
  const [from, to] = [cuts[bin - 1], cuts[bin]];
  return from && to && from[0] === to[0] ? `just ${measure(from[0])}` : barWords(cuts, [bin]);
}

const POINT_SHARE = 0.25; // of a bar that begins with a point, where that point ends

/**
 * Bars and edges of a rule. Two cuts at one value hold the rows that have just this value; such a
 * bin has no width and shares the bar of the bin to its right.
 * @param {Array<[number, number]>} cuts
 * @returns {{bars: number[][], edges: number[]}} the bins of each bar; of each edge, from the left
 *   end over the cuts to the right end, its place in bars
 */
function barsOf(cuts) {
  const bars = [];
  const edges = [];
  let joins = false;
  for (let bin = 0; bin <= cuts.length; bin += 1) {
    if (joins) {
      edges.push(bars.length - 1 + POINT_SHARE);
      bars.at(-1).push(bin);
    } else {
      edges.push(bars.length);
      bars.push([bin]);
    }
    joins = bin > 0 && bin < cuts.length && cuts[bin - 1][0] === cuts[bin][0];
  }
  edges.push(bars.length);
  return { bars, edges };
}

/** What lies in a bar, in words. */
function barWords(cuts, bins) {
  const [from, to] = [cuts[bins[0] - 1], cuts[bins.at(-1)]];
  const start = from ? `${from[1] ? "above" : "from"} ${measure(from[0])}` : "";
  const end = to ? `${to[1] ? "up to" : "below"} ${measure(to[0])}` : "";
  return [start, end].filter(Boolean).join(", ") || "all";
}

/** Counts of bins, added up for each bar. */
function byBar(bars, rows) {
  return bars.map((bins) => sum(bins.map((bin) => rows[bin])));
}

/**
 * The edge that a threshold stands at: a minimum lies just below its value, a maximum just above.
 * @param {Array<[number, number]>} cuts @param {number} value @param {string} key min, above, ...
 */
function edgeOf(cuts, value, key) {
  const side = key === "above" || key === "max" ? 1 : 0;
  const exact = cuts.findIndex((cut) => cut[0] === value && cut[1] === side);
  return exact >= 0 ? exact + 1 : cuts.filter((cut) => cut[0] < value).length;
}

/** Conditions of a rule one by one: "min=100, max=2000" has two. */
function conditionWords(rule) {
  const limits = rule.limits ?? [];
  const parts = (rule.threshold ?? "").split(", ");
  if (parts.length !== limits.length)
    return limits.map((value) => ({ value, key: "", label: measure(value) }));
  return limits.map((value, i) => {
    const key = parts[i].split("=")[0];
    return { value, key, label: `${key} ${measure(value)}` };
  });
}

/** The frame of a histogram: where its bars and edges lie. */
function plotOf(bars, width, height) {
  const step = (width - PLOT.left - PLOT.right) / Math.max(1, bars);
  const bottom = height - PLOT.bottom;
  return {
    step,
    height: bottom - PLOT.top,
    bottom,
    right: width - PLOT.right,
    x: (edge) => PLOT.left + edge * step,
  };
}

/**
 * @param {{bins: Bin[], edges: Array<{at: number, label: string}>, limits: Limit[],
 *   height?: number}} histogram
 * @param {number} width
 * @param {boolean} log
 */
function histogramSvg({ bins, edges, limits, height = 190 }, width, log) {
  const image = canvas(width, height);
  const plot = plotOf(bins.length, width, height);
  const most = Math.max(0, ...bins.map((bin) => bin.rows));
  const scale = lengthScale(most, plot.height, log);
  image.append(countAxis(most, scale, plot, log));
  image.append(histogramBars(bins, plot, scale));
  edgeLabels(edges, plot).forEach((label) => image.append(label));
  limits.forEach((limit, i) => image.append(limitLine(limit, plot, width, 14 + 12 * (i % 2))));
  return image;
}

/** Lines at round counts. */
function countAxis(most, scale, plot, log) {
  const axis = svg("g", {});
  for (const tick of countTicks(most, log)) {
    const y = plot.bottom - scale(tick);
    axis.append(
      svg("line", { x1: PLOT.left, x2: plot.right, y1: y, y2: y, class: "gridline" }),
      svg("text", { x: PLOT.left - 6, y: y + 4, class: "tick end" }, compact(tick)),
    );
  }
  return axis;
}

/** The bars alone, which a chart that changes draws again. */
function histogramBars(bins, plot, scale) {
  return svg(
    "g",
    { class: "bars" },
    bins.map((bin, i) => histogramBar(bin, i, plot, scale)),
  );
}

function histogramBar(bin, i, plot, scale) {
  const gap = plot.step > 5 ? 1 : 0;
  const x = plot.x(i) + gap / 2;
  const wide = Math.max(0.5, plot.step - gap);
  const block = (rows, kind, inset) => {
    const tall = rows > 0 ? Math.max(1, scale(rows)) : 0;
    return svg("rect", {
      x: x + inset,
      y: plot.bottom - tall,
      width: wide - 2 * inset,
      height: tall,
      class: kind,
    });
  };
  const kind = bin.failed === undefined ? "plain" : "kept";
  return svg(
    "g",
    { class: "mark", "data-tip": bin.tip },
    svg("rect", { x: plot.x(i), y: PLOT.top, width: plot.step, height: plot.height, class: "hit" }),
    block(bin.rows, kind, 0),
    bin.failed ? block(bin.failed, "dropped", 0) : null,
    bin.others ? block(bin.others, "others", wide * 0.3) : null,
  );
}

/** Labels of edges, as many as fit. */
function edgeLabels(edges, plot) {
  const labels = [];
  let free = -Infinity;
  for (const { at, label } of edges) {
    const half = textWidth(label) / 2;
    const x = plot.x(at);
    if (x - half < free) continue;
    free = x + half + 8;
    labels.push(svg("text", { x, y: plot.bottom + 17, class: "tick middle" }, label));
  }
  return labels;
}

function limitLine({ at, label }, plot, width, y) {
  const x = plot.x(at);
  const fits = x + textWidth(label) * STRONG + 6 < width;
  return svg(
    "g",
    { class: "limit" },
    svg("line", { x1: x, x2: x, y1: 6, y2: plot.bottom }),
    svg("text", { x: fits ? x + 5 : x - 5, y, class: fits ? "label" : "label end" }, label),
  );
}

/** Labels of the values at which bars begin. @param {Array<[number, number]>} cuts */
function cutEdges(cuts, edges) {
  const labels = cuts.map((cut, i) => ({
    at: edges[i + 1],
    label: measure(cut[0]),
    value: cut[0],
  }));
  return labels.filter((edge, i) => i === 0 || edge.value !== labels[i - 1].value);
}

const JUDGED_LEGEND = [
  ["kept", "passes this rule"],
  ["dropped", "fails it"],
  ["others", "passes every other rule"],
];

/** The histogram of a rule in its frame. */
function ruleHistogram(rule, size) {
  const { cuts, rows, failed, others_pass: others } = rule.histogram;
  const { bars, edges } = barsOf(cuts);
  const [allOf, failedOf, othersOf] = [rows, failed, others].map((counts) => byBar(bars, counts));
  const bins = bars.map((inside, i) => ({
    rows: allOf[i],
    failed: failedOf[i],
    others: othersOf[i],
    tip:
      `${barWords(cuts, inside)}: ${counted(allOf[i], "row")}, ` +
      `${count(failedOf[i])} fail, ${count(othersOf[i])} pass every other rule`,
  }));
  const limits = conditionWords(rule).map(({ value, key, label }) => ({
    at: edges[edgeOf(cuts, value, key)],
    label,
  }));
  return figure({
    kind: "rule-histogram",
    title: size ? el("a", { href: ruleHref(rule.path) }, rule.name) : `Values of ${rule.name}`,
    size,
    counts: true,
    legend: size ? null : legend(JUDGED_LEGEND),
    summary:
      `${rule.name}: ${counted(rule.rows, "row")}, ${count(rule.failed)} fail ` +
      `(${percent(rule.failed, rule.rows)}); threshold ${rule.threshold || "none"}.`,
    draw: (width, log) =>
      histogramSvg(
        { bins, edges: cutEdges(cuts, edges), limits, height: size ? 150 : 210 },
        width,
        log,
      ),
    table: () => ({
      columns: ["value", "rows", "fail", "pass every other rule"].map((title, i) => ({
        title,
        number: i > 0,
      })),
      rows: rows.map((n, i) => [binWords(cuts, i), count(n), count(failed[i]), count(others[i])]),
    }),
  });
}

/**
 * A distribution in its frame.
 * @param {string} title
 * @param {Object} found count, min, median, mean, p95, max, histogram
 * @param {{unit?: string, limits?: Array<{value: number, label: string}>, size?: string,
 *   tails?: boolean}} [options] `tails`: the first bin holds all below it too
 */
function distributionFigure(title, found, { unit = "samples", limits = [], size, tails } = {}) {
  const starts = found.histogram.map((bin) => bin.from);
  const spanOf = (i) => {
    const from = i || !tails ? `from ${measure(starts[i])}` : "";
    const to = i + 1 < starts.length ? `below ${measure(starts[i + 1])}` : "";
    return [from, to].filter(Boolean).join(", ") || "all";
  };
  const bins = found.histogram.map((bin, i) => ({
    rows: bin.count,
    tip: `${spanOf(i)}: ${count(bin.count)} ${unit}`,
  }));
  const marks = limits.map((limit) => ({ at: edgeAt(starts, limit.value), label: limit.label }));
  const edges = starts
    .map((from, at) => ({ at, label: measure(from) }))
    .filter((edge) => edge.at || !tails);
  const [middle, mean, p95] = [found.median, found.mean, found.p95].map(measure);
  const figures = `median ${middle}, mean ${mean}, 95 % at most ${p95}`;
  return figure({
    kind: "distribution",
    title,
    size,
    counts: true,
    summary:
      `${title}: ${count(found.count)} ${unit} ` +
      `from ${measure(found.min)} to ${measure(found.max)}; ${figures}.`,
    draw: (width, log) => histogramSvg({ bins, edges, limits: marks }, width, log),
    after: note(`${count(found.count)} ${unit}: ${figures}.`),
    table: () => ({
      columns: ["value", unit, "share"].map((name, i) => ({ title: name, number: i > 0 })),
      rows: bins.map((bin, i) => [spanOf(i), count(bin.rows), percent(bin.rows, found.count)]),
    }),
  });
}

/** Where a value stands among bins that begin at these values, by straight lines inside a bin. */
function edgeAt(starts, value) {
  const after = starts.findIndex((from) => from > value);
  if (after === 0) return 0;
  if (after < 0) return value === starts.at(-1) ? starts.length - 1 : starts.length - 0.5;
  const [from, to] = [starts[after - 1], starts[after]];
  return after - 1 + (value - from) / (to - from);
}
