// Section Explorer: move thresholds and see what a gate would keep.

function drawExplorer(report, box) {
  const gates = report.explorers.filter((one) => one.rules.length);
  const stage = el("div", { class: "stage" });
  const select = el(
    "select",
    { id: freshId("gate") },
    gates.map((one, i) =>
      el("option", { value: i }, `${one.gate} (${count(one.rows)} ${one.unit ?? "rows"})`),
    ),
  );
  select.addEventListener("change", () =>
    stage.replaceChildren(explorerStage(gates[Number(select.value)])),
  );
  stage.append(explorerStage(gates[0]));
  box.append(
    note(
      "Drag a threshold, or give it the focus and use the arrow keys, Home and End. ",
      "The counts are exact: the report holds how many rows lie between any two cuts. ",
      "A threshold moves from cut to cut; the recipe's own are among them.",
    ),
    el("p", {}, el("label", { for: select.id }, "Gate "), select),
    legend(JUDGED_LEGEND),
    stage,
  );
}

/** The explorer of a gate. */
function explorerStage(explorer) {
  const state = { settings: {}, notice: "" };
  const before = countRows(explorer, {});
  const all = languageRows(explorer);
  const result = resultLine(explorer, () => change(() => (state.settings = {})));
  const languages = el("div", {});
  const copies = copyBox();
  let waiting = false;
  const settingOf = (rule) => state.settings[rule.path] ?? recipeSetting(rule);
  const cards = explorer.rules.map((rule) => {
    const move = (setting) => change(() => moveRule(explorer, state, rule, setting));
    return ruleCard(rule, () => settingOf(rule), move);
  });
  const show = () => {
    waiting = false;
    const counts = countRows(explorer, state.settings);
    explorer.rules.forEach((rule, i) => cards[i].show(settingOf(rule), counts.bins[rule.path]));
    result.show(counts.kept, state.notice);
    languages.replaceChildren(languageTable(explorer, before, counts, all));
    copies.show(recipeLines(explorer, state.settings));
  };
  const change = (alter) => {
    state.notice = "";
    alter();
    // Pointers report more often than the screen is drawn.
    if (!waiting) requestAnimationFrame(show);
    waiting = true;
  };
  show();
  return el(
    "div",
    { class: "explorer", "data-gate": explorer.gate },
    result.node,
    el(
      "div",
      { class: "explorer-body" },
      el("div", { class: "cards" }, ruleGroups(explorer, cards)),
      el("aside", { "aria-label": "Languages, and the recipe" }, languages, copies.node),
    ),
  );
}

/** Sets a rule; rules that cannot be counted together with it go back to the recipe. */
function moveRule(explorer, state, rule, setting) {
  const apart = explorer.rules.filter(
    (one) =>
      one !== rule && isMoved(one, state.settings[one.path]) && !(one.is_joint && rule.is_joint),
  );
  for (const one of apart) delete state.settings[one.path];
  state.settings[rule.path] = setting;
  if (apart.length) {
    const names = apart.map((one) => one.name).join(", ");
    state.notice =
      `${names} went back to the recipe: ` +
      `the counts do not tell of it together with ${rule.name}.`;
  }
}

function ruleGroups(explorer, cards) {
  const pick = (joint) =>
    explorer.rules.flatMap((rule, i) => (Boolean(rule.is_joint) === joint ? [cards[i].node] : []));
  const [joint, alone] = [pick(true), pick(false)];
  return [
    joint.length ? [el("h4", { class: "group" }, "To be moved together"), joint] : null,
    alone.length
      ? [
          el("h4", { class: "group" }, "To be moved one at a time, all else as in the recipe"),
          alone,
        ]
      : null,
  ];
}

function resultLine(explorer, reset) {
  const now = el("output", { class: "figure", "data-count": "kept" });
  const rest = el("span", { class: "quiet" });
  const notice = el("span", { class: "quiet" });
  const share = svg("rect", { x: 0, y: 0, height: 6, class: "kept" });
  const mark = svg("rect", { y: 0, width: 0.4, height: 6, class: "recipe-mark" });
  const meter = svg(
    "svg",
    { viewBox: "0 0 100 6", preserveAspectRatio: "none", class: "meter", "aria-hidden": "true" },
    share,
    mark,
  );
  const of = explorer.rows;
  mark.setAttribute("x", of ? (100 * explorer.kept) / of : 0);
  const node = el(
    "div",
    { class: "result", role: "status" },
    el("div", {}, now, " ", rest, " ", notice),
    el("button", { type: "button", on: { click: reset } }, "Reset"),
    meter,
  );
  const show = (kept, text) => {
    now.textContent = count(kept);
    rest.textContent =
      `of ${count(of)} ${explorer.unit ?? "rows"} kept (${percent(kept, of)}); ` +
      (kept === explorer.kept
        ? "as in the recipe"
        : `recipe ${count(explorer.kept)}, ${signed(kept - explorer.kept)}`);
    notice.textContent = text;
    share.setAttribute("width", of ? (100 * kept) / of : 0);
  };
  return { node, show };
}

function languageTable(explorer, before, counts, all) {
  const order = explorer.languages.map((_, i) => i).sort((a, b) => all[b] - all[a] || a - b);
  return dataTable({
    caption: "Kept by language",
    columns: ["language", "now", "recipe", "change", "of rows"].map((title, i) => ({
      title,
      number: i > 0,
    })),
    rows: order.map((i) => [
      strange(explorer.languages[i]),
      el("span", { "data-language": explorer.languages[i] }, count(counts.languages[i])),
      count(before.languages[i]),
      signed(counts.languages[i] - before.languages[i]),
      percent(counts.languages[i], all[i]),
    ]),
    first: 12,
  });
}

function copyBox() {
  const parts = [copyPart("Recipe", "toml"), copyPart("Command line", "set")];
  const empty = note("Move a threshold: the lines for the recipe stand here.");
  const node = el(
    "div",
    { class: "copy" },
    heading(4, "Copy as recipe"),
    empty,
    parts.map((part) => part.node),
  );
  const show = (lines) => {
    empty.hidden = lines.toml !== "";
    for (const part of parts) part.show(lines[part.key]);
  };
  return { node, show };
}

function copyPart(title, key) {
  const id = freshId("copy");
  const area = el("textarea", {
    id,
    readonly: true,
    spellcheck: "false",
    rows: "3",
    "data-copy": key,
  });
  const said = el("span", { class: "quiet", role: "status" });
  const button = el("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => copyText(area, said));
  const node = el(
    "div",
    {},
    el("div", { class: "copy-head" }, el("label", { for: id }, title), said, button),
    area,
  );
  const show = (text) => {
    node.hidden = text === "";
    area.value = text;
    area.rows = Math.min(8, text.split("\n").length + 1);
    said.textContent = "";
  };
  return { node, show, key };
}

/** To the clipboard; where a page from disk has none, the text is selected to be copied by hand. */
async function copyText(area, said) {
  try {
    await navigator.clipboard.writeText(area.value);
    said.textContent = "copied";
  } catch {
    area.focus();
    area.select();
    said.textContent = "selected: press Ctrl+C";
  }
}
