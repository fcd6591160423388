// The Sankey of a stream: from left to right, or from top to bottom where the page is narrow.

const NARROW = 640; // pixels below which steps stand one above the other
const COLUMN = { tolls: 140, plain: 88 }; // least width of a step with tolls, and of one without
const END = 84; // room for what is kept at last
const NODE = 9; // thickness of the bar of a step
const HEAD = 62; // above the bands: title and rows of a step
const BAND = 200; // height of the widest band
const DOWN = { flow: 112, label: 132, toll: 36, head: 46 }; // of the form from top to bottom

/** A band from a vertical edge to a vertical edge. */
function ribbonAcross(x1, top1, tall1, x2, top2, tall2) {
  const bend = (x1 + x2) / 2;
  return (
    `M${x1},${top1}C${bend},${top1} ${bend},${top2} ${x2},${top2}V${top2 + tall2}` +
    `C${bend},${top2 + tall2} ${bend},${top1 + tall1} ${x1},${top1 + tall1}Z`
  );
}

/** A band from a horizontal edge to a horizontal edge. */
function ribbonDown(y1, left1, wide1, y2, left2, wide2) {
  const bend = (y1 + y2) / 2;
  return (
    `M${left1},${y1}C${left1},${bend} ${left2},${bend} ${left2},${y2}H${left2 + wide2}` +
    `C${left2 + wide2},${bend} ${left1 + wide1},${bend} ${left1 + wide1},${y1}Z`
  );
}

/** A band that leaves a horizontal edge and turns to the right. */
function ribbonAside(y, left, wide, x, top, tall) {
  return (
    `M${left},${y}C${left},${top + tall} ${left},${top + tall} ${x},${top + tall}V${top}` +
    `C${left + wide},${top} ${left + wide},${top} ${left + wide},${y}Z`
  );
}

/** What a band is filled with that ends on another scale: it fades out and in again. */
function fadingFill(id, isDown) {
  const direction = isDown ? { x1: 0, y1: 0, x2: 0, y2: 1 } : { x1: 0, y1: 0, x2: 1, y2: 0 };
  const stops = [
    [0, 0.38],
    [0.5, 0.06],
    [1, 0.38],
  ].map(([offset, opacity]) => svg("stop", { offset, "stop-opacity": opacity, class: "fading" }));
  return svg("defs", {}, svg("linearGradient", { id, ...direction }, stops));
}

/** A band of what is kept, in its own colour or, at a break, fading. */
function keptBand(d, words, breaks, fading) {
  const fill = breaks
    ? { class: "ribbon breaks", fill: `url(#${fading})` }
    : { class: "ribbon kept" };
  return svg("path", { d, ...fill, "data-tip": words });
}

/** The name of a toll, a link where it is a rule that the report tells of. */
function tollLabel(toll, step, x, y, room) {
  const name = svg("text", { x, y, class: "label strong" }, fitText(toll.name, room / STRONG));
  const rows = svg(
    "text",
    { x, y: y + 14, class: "label quiet" },
    fitText(countAndShare(toll.rows, step.in), room),
  );
  const tip = { "data-tip": tollWords(toll, step) };
  const href = toll.rule ? ruleHref(toll.rule) : null;
  if (!href) return svg("g", tip, name, rows);
  const attributes = {
    ...tip,
    href,
    class: "rule",
    "aria-label": `${tollWords(toll, step)}; to the rule`,
  };
  return svg("a", attributes, name, rows);
}

function stepHead(one, number, x, y, room) {
  const { step } = one;
  const lines = wrapText(capital(step.title), room / STRONG, 2);
  if (number) lines.push(`${lines.pop()} ${superscript(number)}`);
  const full = `${compactCount(step.in)} ${step.unit}`;
  const rows = textWidth(full) <= room ? full : compactCount(step.in);
  return [
    ...lines.map((line, i) => svg("text", { x, y: y + 15 * i, class: "label strong" }, line)),
    svg("text", { x, y: y + 15 * lines.length, class: "label quiet" }, rows),
  ];
}

/** A count in full as long as it is short. */
function compactCount(n) {
  return n < 1e9 ? count(n) : compact(n);
}

function superscript(n) {
  return String(n).replace(/[0-9]/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]);
}

/** Numbers of the notes of a funnel, by step. */
function noteNumbers(steps) {
  let number = 0;
  return steps.map(({ step }) => (step.note ? ++number : 0));
}

/** @param {Object} funnel @param {number} width @returns {SVGElement} */
function sankeySvg(funnel, width) {
  const image = width < NARROW ? sankeyDown(funnel, width) : sankeyAcross(funnel, width);
  image.setAttribute("role", "group");
  image.setAttribute("aria-label", `${funnel.title}, from step to step`);
  return image;
}

function sankeyAcross(funnel, width) {
  const steps = sankeySteps(funnel, BAND);
  const numbers = noteNumbers(steps);
  const columns = columnWidths(steps, width - END);
  const fading = freshId("fading");
  const bands = svg(
    "g",
    { role: "img", "aria-label": funnelWords(funnel) },
    fadingFill(fading, false),
  );
  const labels = svg("g", {});
  let deepest = HEAD + BAND;
  let x = 0;
  steps.forEach((one, i) => {
    const depth = drawStepAcross(
      one,
      steps[i + 1],
      { x, column: columns[i], fading },
      bands,
      labels,
    );
    stepHead(one, numbers[i], x, 14, columns[i] - 18).forEach((text) => labels.append(text));
    deepest = Math.max(deepest, depth);
    x += columns[i];
  });
  const last = steps.at(-1);
  const end = bandOf(last.step.kept, last.unit_pixels);
  bands.append(
    svg("rect", { x, y: HEAD, width: NODE, height: Math.max(2, end), class: "node kept" }),
  );
  labels.append(
    svg("text", { x, y: 14, class: "label strong" }, "Kept"),
    svg("text", { x, y: 29, class: "label quiet" }, compactCount(last.step.kept)),
  );
  const image = canvas(Math.max(width, x + END), deepest + 8);
  image.append(bands, labels);
  return image;
}

/** Widths of the steps: those with tolls need room for their names. */
function columnWidths(steps, room) {
  const least = steps.map(({ tolls }) => (tolls.length ? COLUMN.tolls : COLUMN.plain));
  const spare = Math.max(1, room / sum(least));
  return least.map((width) => width * spare);
}

/** A step, what it keeps on its way to the next, and its tolls. Returns how far down it goes. */
function drawStepAcross(one, next, { x, column, fading }, bands, labels) {
  const { step, tolls, unit_pixels: unit } = one;
  const tall = bandOf(step.in, unit);
  const kept = bandOf(step.kept, unit);
  const arrives = next ? bandOf(next.step.in, next.unit_pixels) : kept;
  const words = stepWords(step);
  bands.append(
    svg("rect", {
      x,
      y: HEAD,
      width: NODE,
      height: Math.max(2, tall),
      class: "node",
      "data-tip": words,
    }),
    keptBand(
      ribbonAcross(x + NODE, HEAD, kept, x + column, HEAD, arrives),
      words,
      next?.breaks,
      fading,
    ),
  );
  let from = HEAD + kept;
  let y = HEAD + Math.max(kept, arrives) + 16;
  for (const toll of tolls) {
    const wide = bandOf(toll.rows, unit);
    const stop = x + NODE + 22;
    bands.append(
      svg("path", {
        d: ribbonAcross(x + NODE, from, wide, stop, y, wide),
        class: `ribbon ${toll.kind}`,
        "data-tip": tollWords(toll, step),
      }),
    );
    labels.append(
      tollLabel(toll, step, stop + 5, y + Math.max(10, wide / 2 - 2), column - NODE - 32),
    );
    from += wide;
    y += Math.max(wide, 28) + 6;
  }
  return y;
}

function sankeyDown(funnel, width) {
  const steps = sankeySteps(funnel, DOWN.flow);
  const numbers = noteNumbers(steps);
  const fading = freshId("fading");
  const bands = svg(
    "g",
    { role: "img", "aria-label": funnelWords(funnel) },
    fadingFill(fading, true),
  );
  const labels = svg("g", {});
  let y = 6;
  steps.forEach((one, i) => {
    stepHead(one, numbers[i], DOWN.label, y + 9, width - DOWN.label).forEach((text) =>
      labels.append(text),
    );
    y = drawStepDown(one, steps[i + 1], { y, width, fading }, bands, labels);
  });
  const last = steps.at(-1);
  const wide = Math.max(2, bandOf(last.step.kept, last.unit_pixels));
  bands.append(svg("rect", { x: 0, y, width: wide, height: NODE, class: "node kept" }));
  labels.append(
    svg(
      "text",
      { x: DOWN.label, y: y + 9, class: "label strong" },
      `${compactCount(last.step.kept)} kept`,
    ),
  );
  const image = canvas(width, y + 20);
  image.append(bands, labels);
  return image;
}

/** The same as `drawStepAcross`, downwards. */
function drawStepDown(one, next, { y, width, fading }, bands, labels) {
  const { step, tolls, unit_pixels: unit } = one;
  const wide = bandOf(step.in, unit);
  const kept = bandOf(step.kept, unit);
  const arrives = next ? bandOf(next.step.in, next.unit_pixels) : kept;
  const foot = y + DOWN.head + tolls.length * DOWN.toll + 8;
  const words = stepWords(step);
  bands.append(
    keptBand(ribbonDown(y + NODE, 0, kept, foot, 0, arrives), words, next?.breaks, fading),
    svg("rect", {
      x: 0,
      y,
      width: Math.max(2, wide),
      height: NODE,
      class: "node",
      "data-tip": words,
    }),
  );
  let right = kept + sum(tolls.map((toll) => bandOf(toll.rows, unit)));
  tolls.forEach((toll, i) => {
    const thick = bandOf(toll.rows, unit);
    const top = y + DOWN.head + i * DOWN.toll;
    right -= thick;
    bands.append(
      svg("path", {
        d: ribbonAside(y + NODE, right, thick, DOWN.label - 8, top, Math.min(thick, DOWN.toll - 6)),
        class: `ribbon ${toll.kind}`,
        "data-tip": tollWords(toll, step),
      }),
    );
    labels.append(tollLabel(toll, step, DOWN.label, top + 10, width - DOWN.label));
  });
  return foot;
}

/** A funnel in words. */
function funnelWords(funnel) {
  const parts = funnel.steps.map(
    (step) => `${step.title} keeps ${count(step.kept)} of ${count(step.in)} ${step.unit}`,
  );
  return `${funnel.title}: ${parts.join("; ")}.`;
}
