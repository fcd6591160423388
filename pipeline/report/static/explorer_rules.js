// A rule of the explorer: a histogram with handles, or a list of values to tick.

const HANDLE_TOP = 8;

/**
 * @typedef {Object} RuleCard
 * @property {HTMLElement} node
 * @property {(setting: Setting, counts: {rows: number[], others: number[]|null}) => void} show
 */

/**
 * @param {Object} rule
 * @param {() => Setting} now its setting, which may be ahead of what is shown
 * @param {(setting: Setting) => void} move
 * @returns {RuleCard}
 */
function ruleCard(rule, now, move) {
  return rule.form === "members" ? membersCard(rule, now, move) : rangeCard(rule, now, move);
}

/** The text of a limit: "min 200", or that there is none. */
function limitWords(rule, setting, isLower) {
  const keys = isLower ? ["min", "above"] : ["max", "below"];
  const found = conditionOf(rule, setting).find(([key]) => keys.includes(key));
  return found ? `${found[0]} ${measure(found[1])}` : `no ${isLower ? "lower" : "upper"} limit`;
}

/** A setting with one handle elsewhere; the handles keep a bin between them. */
function withHandle(rule, setting, isLower, to) {
  const last = rule.cuts.length + 1;
  if (isLower) return { ...setting, lower: Math.max(0, Math.min(to, setting.upper - 1)) };
  return { ...setting, upper: Math.max(setting.lower + 1, Math.min(to, last)) };
}

function rangeCard(rule, now, move) {
  const state = { setting: recipeSetting(rule), counts: null, chart: null };
  const before = recipeSetting(rule);
  const status = el("p", { class: "note status" });
  const grip = (isLower) => ({
    isLower,
    at: () => (isLower ? now().lower : now().upper),
    moveTo: (to) => move(withHandle(rule, now(), isLower, to)),
  });
  const grips = [grip(true), grip(false)];
  const refresh = () => {
    if (!state.counts) return;
    if (state.chart) state.chart.update(state.setting, state.counts);
    const limits = [true, false].map((isLower) => limitWords(rule, state.setting, isLower));
    const given = limits.filter((text) => !text.startsWith("no ")).join(", ");
    status.textContent = `${given || "any value"}${nullWords(state.counts)}`;
    status.classList.toggle("moved", isMoved(rule, state.setting));
  };
  const node = figure({
    kind: "explorer",
    title: rule.name,
    summary: rule.name,
    counts: true,
    draw: (width, log) => {
      state.chart = rangeChart(rule, before, width, log, grips);
      refresh();
      return state.chart.image;
    },
    after: el("div", {}, status, el("code", { class: "expression" }, rule.expression ?? "")),
    table: () => rangeTable(rule, state),
  });
  const show = (setting, counts) => {
    Object.assign(state, { setting, counts });
    refresh();
  };
  return { node, show };
}

function nullWords(counts) {
  return counts.rows[0] ? `; ${counted(counts.rows[0], "row")} without a value never pass` : "";
}

function rangeTable(rule, { counts }) {
  return {
    columns: ["value", "rows", "pass every other rule"].map((title, i) => ({
      title,
      number: i > 0,
    })),
    rows: counts.rows.map((n, bin) => [
      bin ? binWords(rule.cuts, bin - 1) : "no value",
      count(n),
      counts.others ? count(counts.others[bin]) : "not known",
    ]),
  };
}

/** The drawing of a rule: bars that follow the counts, handles that follow the setting. */
function rangeChart(rule, before, width, log, grips) {
  const height = 176;
  const { bars: groups, edges } = barsOf(rule.cuts);
  const image = canvas(width, height);
  const plot = plotOf(groups.length, width, height);
  const place = (cut) => plot.x(edges[cut]);
  const picture = svg("g", { role: "img" });
  const shades = [0, 1].map(() =>
    svg("rect", { y: PLOT.top, height: plot.height, class: "refused" }),
  );
  const handles = grips.map((grip) => handle(rule, grip, edges.map(plot.x), plot, width));
  image.setAttribute("role", "group");
  image.setAttribute("aria-label", `${rule.name}: thresholds to move`);
  image.append(
    picture,
    ...shades,
    ...edgeLabels(cutEdges(rule.cuts, edges), plot),
    ...recipeMarks(rule, before, place, plot),
  );
  image.append(...handles.map((one) => one.node));
  const update = (setting, counts) => {
    const drawn = explorerBars(rule, groups, setting, counts);
    const most = Math.max(0, ...drawn.map((bar) => bar.rows));
    const scale = lengthScale(most, plot.height, log);
    picture.replaceChildren(countAxis(most, scale, plot, log), histogramBars(drawn, plot, scale));
    picture.setAttribute(
      "aria-label",
      `${rule.name}: ${counted(sum(counts.rows), "row")} in ${counted(groups.length, "bar")}`,
    );
    placeShade(shades[0], PLOT.left, place(setting.lower));
    placeShade(shades[1], place(setting.upper), plot.right);
    handles.forEach((one) => one.place(setting));
  };
  return { image, update };
}

function placeShade(shade, from, to) {
  shade.setAttribute("x", from);
  shade.setAttribute("width", Math.max(0, to - from));
}

/** Short lines where the recipe has its limits. */
function recipeMarks(rule, before, place, plot) {
  const edges = [];
  if (before.lower > 0) edges.push(before.lower);
  if (before.upper <= rule.cuts.length) edges.push(before.upper);
  return edges.map((edge) => {
    const x = place(edge);
    return svg("line", {
      x1: x,
      x2: x,
      y1: plot.bottom - 6,
      y2: plot.bottom + 5,
      class: "recipe-mark",
    });
  });
}

function explorerBars(rule, groups, setting, counts) {
  const passing = passingBins(rule, setting);
  const refused = counts.rows.map((n, bin) => (passing[bin] ? 0 : n));
  const inBars = (numbers) => byBar(groups, numbers.slice(1));
  const [rows, failed] = [inBars(counts.rows), inBars(refused)];
  const others = counts.others ? inBars(counts.others) : null;
  return groups.map((inside, i) => ({
    rows: rows[i],
    failed: failed[i],
    others: others ? others[i] : 0,
    tip:
      `${barWords(rule.cuts, inside)}: ${counted(rows[i], "row")}` +
      (others ? `, ${count(others[i])} pass every other rule` : ""),
  }));
}

/** Index of the place that is nearest. */
function nearest(places, x) {
  let best = 0;
  places.forEach((place, i) => {
    if (Math.abs(place - x) < Math.abs(places[best] - x)) best = i;
  });
  return best;
}

/**
 * @param {Object} rule
 * @param {{isLower: boolean, at: () => number, moveTo: (cut: number) => void}} grip
 * @param {number[]} places where a handle stands at each cut, in pixels
 */
function handle(rule, grip, places, plot, width) {
  const { isLower } = grip;
  const bottom = plot.bottom;
  const node = svg(
    "g",
    {
      role: "slider",
      tabindex: "0",
      class: `handle ${isLower ? "lower" : "upper"}`,
      "aria-label": `${rule.name}, ${isLower ? "lower" : "upper"} limit`,
      "aria-orientation": "horizontal",
      "aria-valuemin": "0",
      "aria-valuemax": String(rule.cuts.length + 1),
      "data-rule": rule.path,
    },
    svg("rect", { x: -14, y: 0, width: 28, height: bottom, class: "hit" }),
    svg("line", { x1: 0, x2: 0, y1: HANDLE_TOP, y2: bottom }),
    svg("circle", { cx: 0, cy: HANDLE_TOP + 4, r: 7 }),
    svg("text", { class: "label", y: HANDLE_TOP + 8 }),
  );
  node.addEventListener("keydown", (event) => {
    const to = handleKey(event.key, grip.at(), rule.cuts.length + 1);
    if (to === null) return;
    event.preventDefault();
    grip.moveTo(to);
  });
  dragHandle(node, places, grip.moveTo);
  const place = (setting) => {
    const at = isLower ? setting.lower : setting.upper;
    const text = limitWords(rule, setting, isLower);
    const x = places[at];
    const other = places[isLower ? setting.upper : setting.lower];
    node.setAttribute("transform", `translate(${x} 0)`);
    node.setAttribute("aria-valuenow", String(at));
    node.setAttribute("aria-valuetext", text);
    node.classList.toggle("none", text.startsWith("no "));
    placeHandleLabel(node.lastChild, text, { x, other, isLower, width });
  };
  return { node, place };
}

/** The label of a handle: on the side that passes, if it touches no other handle and no border. */
function placeHandleLabel(label, text, { x, other, isLower, width }) {
  const shown = text.startsWith("no ") ? "" : text;
  const long = textWidth(shown) * STRONG + 14;
  const [fitsRight, fitsLeft] = [x + long < width, x - long > 0];
  const right = isLower
    ? fitsRight && (x + long < other - 10 || !fitsLeft)
    : !fitsLeft || (x - long < other + 10 && fitsRight);
  label.textContent = shown;
  label.setAttribute("x", right ? "11" : "-11");
  label.setAttribute("class", right ? "label" : "label end");
}

/** Where a key takes a handle; null for a key that moves nothing. */
function handleKey(key, at, last) {
  const steps = {
    ArrowLeft: -1,
    ArrowDown: -1,
    ArrowRight: 1,
    ArrowUp: 1,
    PageDown: -5,
    PageUp: 5,
  };
  if (key in steps) return at + steps[key];
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}

/** Follows the pointer from cut to cut. */
function dragHandle(node, places, moveTo) {
  node.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    node.focus();
    node.setPointerCapture(event.pointerId);
  });
  node.addEventListener("pointermove", (event) => {
    if (!node.hasPointerCapture(event.pointerId)) return;
    const box = node.ownerSVGElement.getBoundingClientRect();
    const zoom = node.ownerSVGElement.viewBox.baseVal.width / box.width;
    moveTo(nearest(places, (event.clientX - box.left) * zoom));
  });
}

function membersCard(rule, now, move) {
  const boxes = rule.values.map((value, i) => {
    const box = el("input", {
      type: "checkbox",
      "data-rule": rule.path,
      "data-value": String(value),
    });
    box.addEventListener("change", () => {
      const passes = now().passes.map((pass, at) => (at === i ? box.checked : pass));
      // A list of the recipe needs a member: the last one stays.
      if (!rule.exclude && !passes.some(Boolean)) box.checked = true;
      else move({ passes });
    });
    return box;
  });
  const numbers = rule.values.map(() => el("span", { class: "number quiet" }));
  const status = el("p", { class: "note status" });
  const rows = rule.values.map((value, i) =>
    el("label", {}, boxes[i], strange(shorten(String(value), 60)), numbers[i]),
  );
  const id = freshId("members");
  const node = el(
    "div",
    {
      class: "chart ticked",
      "data-chart": "explorer-members",
      role: "group",
      "aria-labelledby": id,
    },
    el("p", { id, class: "title" }, rule.name),
    el("div", { class: "ticks" }, rows),
    status,
    el("code", { class: "expression" }, rule.expression ?? ""),
  );
  const show = (setting, counts) => {
    setting.passes.forEach((pass, i) => {
      boxes[i].checked = pass;
      numbers[i].textContent = count(counts.rows[i + 1]);
    });
    const rest = counts.rows[rule.values.length + 1];
    const passing = setting.passes.filter(Boolean).length;
    const others = rest
      ? `; ${counted(rest, "row")} with others ${rule.exclude ? "pass" : "do not"}`
      : "";
    const all = counted(setting.passes.length, "value");
    status.textContent = `${count(passing)} of ${all} pass${others}${nullWords(counts)}`;
    status.classList.toggle("moved", isMoved(rule, setting));
  };
  return { node, show };
}
