// What every chart has around it: a title, a text that says the same, and the numbers as a table.

/**
 * @typedef {Object} Chart
 * @property {string} kind what it is, for `data-chart`
 * @property {string|Node} title
 * @property {string} summary its key figures in words
 * @property {(width: number, log: boolean) => SVGElement} draw
 * @property {() => {columns: Array, rows: Array}} table
 * @property {boolean} [counts] whether its heights are counts that a logarithm may show better
 * @property {Node|null} [legend]
 * @property {Node|null} [after] stands below the drawing
 * @property {string} [size] "small" for one of many
 */

/** A chart in its frame. It is drawn when it has a width, and again when that changes.
 * @param {Chart} chart @returns {HTMLElement} */
function figure(chart) {
  const drawing = el("div", { class: "drawing" });
  const state = { width: 0, log: false };
  const redraw = () => {
    const image = chart.draw(state.width, state.log);
    if (!image.hasAttribute("role")) {
      fill(image, { role: "img", "aria-label": chart.summary, tabindex: "0" }, []);
      walkMarks(image);
    }
    drawing.replaceChildren(image);
  };
  new ResizeObserver(() => {
    const width = Math.floor(drawing.clientWidth);
    // A change of a pixel or two is a scroll bar that comes and goes.
    if (width < 40 || Math.abs(width - state.width) < 3) return;
    state.width = width;
    redraw();
  }).observe(drawing);
  const setLog = (log) => {
    state.log = log;
    if (state.width) redraw();
  };
  const title = typeof chart.title === "string" ? chart.title : chart.title.textContent;
  const tabled = tableToggle(title, chart.table);
  return el(
    "figure",
    { class: `chart ${chart.size ?? ""}`, "data-chart": chart.kind },
    el(
      "figcaption",
      {},
      el("span", { class: "title" }, chart.title),
      el("span", { class: "tools" }, chart.counts ? logToggle(title, setLog) : null, tabled.button),
    ),
    chart.legend ?? null,
    drawing,
    chart.after ?? null,
    tabled.box,
  );
}

function tableToggle(title, makeTable) {
  const box = el("div", { id: freshId("table"), hidden: true });
  const attributes = { type: "button", "aria-expanded": "false", "aria-controls": box.id };
  const button = el("button", { ...attributes, "aria-label": `Table: ${title}` }, "Table");
  button.addEventListener("click", () => {
    if (!box.firstChild) box.append(dataTable({ caption: title, ...makeTable() }));
    box.hidden = !box.hidden;
    button.setAttribute("aria-expanded", String(!box.hidden));
  });
  return { box, button };
}

function logToggle(title, setLog) {
  const attributes = {
    type: "button",
    "aria-pressed": "false",
    "aria-label": `Logarithmic: ${title}`,
  };
  const button = el("button", attributes, "Log");
  button.addEventListener("click", () => {
    const log = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(log));
    setLog(log);
  });
  return button;
}

/** An empty drawing of a size in pixels; it shrinks with the page where it is printed. */
function canvas(width, height) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "canvas" });
}

/** Names of colours. @param {Array<[string, string]>} entries class and meaning */
function legend(entries) {
  return el(
    "ul",
    { class: "legend" },
    entries.map(([kind, meaning]) => el("li", {}, el("i", { class: `swatch ${kind}` }), meaning)),
  );
}

/** A function from counts to pixels. */
function lengthScale(most, pixels, log) {
  if (most <= 0) return () => 0;
  if (!log) return (n) => (n / most) * pixels;
  return (n) => (Math.log1p(n) / Math.log1p(most)) * pixels;
}

/** Round values from 0 to at most `most`, for an axis of counts. */
function countTicks(most, log) {
  if (most <= 0) return [0];
  if (log) {
    const ticks = [0];
    for (let tick = 1; tick <= most; tick *= 10) ticks.push(tick);
    return ticks.length > 5 ? ticks.filter((_, i) => i % Math.ceil(ticks.length / 5) === 0) : ticks;
  }
  const rough = most / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999));
  const ticks = [];
  for (let tick = 0; tick <= most; tick += step) ticks.push(tick);
  return ticks;
}
