// Section Rules: the toll of every rule, and examples on both sides of its threshold.

const ruleIds = new Map();

/** Gives every rule the id of its place in the page. */
function numberRules(rules) {
  rules.forEach((rule, i) => ruleIds.set(rule.path, `rule-${i}`));
}

/** Where a rule is told of; null for one that the report does not have. */
function ruleHref(path) {
  return ruleIds.has(path) ? `#${ruleIds.get(path)}` : null;
}

/** The name of a rule, as a link where there is a place to go to. */
function ruleLink(path) {
  const href = ruleHref(path);
  const name = path.split(".").at(-1);
  return href ? el("a", { href }, name) : el("span", {}, strange(name));
}

function drawRules(report, box) {
  box.append(
    note(
      "A rule fails rows; it is decisive for those whose loss the ledger puts down to it, ",
      "and alone where the row passes every other rule: ",
      "what would come back without it. Open a rule for its values and for examples.",
    ),
  );
  for (const [gate, rules] of grouped(report.rules, (rule) => rule.gate)) {
    box.append(
      heading(3, el("code", {}, gate)),
      tollFigure(gate, rules),
      el(
        "div",
        { class: "rules" },
        rules.map((rule) => ruleDetails(rule, report.pictures ?? {})),
      ),
    );
  }
}

function tollFigure(gate, rules) {
  const ordered = [...rules].sort((a, b) => b.failed - a.failed);
  const top = ordered.slice(0, 3).map((rule) => `${rule.name} ${count(rule.failed)}`);
  return figure({
    kind: "tolls",
    title: `Rows that rules of ${gate} fail`,
    summary: `${counted(rules.length, "rule")}; most: ${top.join(", ")}.`,
    legend: legend([
      ["dropped", "fails this rule alone"],
      ["dropped-soft", "fails others too"],
    ]),
    draw: (width) =>
      barsSvg(
        ordered.map((rule) => ({
          label: rule.name,
          parts: [
            { value: Math.min(rule.alone, rule.failed), kind: "dropped" },
            { value: Math.max(0, rule.failed - rule.alone), kind: "dropped-soft" },
          ],
          text: countAndShare(rule.failed, rule.rows),
          tip:
            `${rule.name}: ${count(rule.failed)} of ${count(rule.rows)} fail, ` +
            `${count(rule.decisive)} decisive, ${count(rule.alone)} alone`,
        })),
        width,
      ),
    table: () => ({
      columns: ["rule", "condition", "rows", "fail", "share", "decisive", "alone", "no value"].map(
        (title, i) => ({ title, number: i > 1 }),
      ),
      rows: ordered.map((rule) => [
        ruleLink(rule.path),
        strange(rule.threshold ?? ""),
        count(rule.rows),
        count(rule.failed),
        percent(rule.failed, rule.rows),
        count(rule.decisive),
        count(rule.alone),
        count(rule.without_value),
      ]),
    }),
  });
}

/** A rule that opens; what is inside is made when it does. */
function ruleDetails(rule, pictures) {
  const inside = el("div", { class: "inside" });
  const node = el(
    "details",
    { id: ruleIds.get(rule.path), class: "rule" },
    el(
      "summary",
      {},
      el("strong", {}, rule.name),
      el("code", {}, shorten(rule.threshold ?? "", 80)),
      el(
        "span",
        { class: "quiet number" },
        `${count(rule.failed)} of ${count(rule.rows)} fail, ${percent(rule.failed, rule.rows)}`,
      ),
    ),
    inside,
  );
  node.addEventListener("toggle", () => {
    if (node.open && !inside.firstChild) inside.append(...ruleParts(rule, pictures));
  });
  return node;
}

/** The condition of a rule on one line; of one that is all SQL, the SQL. */
function ruleCondition(rule) {
  const parts = [rule.expression ?? rule.name, rule.threshold ?? ""];
  return parts[0] === parts[1] ? parts[0] : parts.join("  ");
}

function ruleParts(rule, pictures) {
  const parts = [
    el(
      "dl",
      { class: "facts" },
      [
        ["condition", el("code", {}, strange(ruleCondition(rule)))],
        ["decisive", count(rule.decisive)],
        ["alone", count(rule.alone)],
        ["without a value", count(rule.without_value)],
      ].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
    ),
  ];
  if (rule.histogram?.rows.length) parts.push(ruleHistogram(rule));
  if (rule.members?.length) parts.push(membersFigure(rule));
  parts.push(exampleColumns(rule.examples ?? {}, pictures));
  return parts;
}

function membersFigure(rule) {
  const rows = rule.members.slice(0, 30);
  return figure({
    kind: "members",
    title: `Values of ${rule.name}`,
    legend: legend(JUDGED_LEGEND.slice(0, 2)),
    summary: `${rule.name}: ${counted(rule.members.length, "value")}; ${rows
      .slice(0, 3)
      .map((one) => `${one.value} ${count(one.rows)}, of which ${count(one.failed)} fail`)
      .join("; ")}.`,
    draw: (width) =>
      barsSvg(
        rows.map((one) => ({
          label: String(one.value),
          parts: [
            { value: one.rows - one.failed, kind: "kept" },
            { value: one.failed, kind: "dropped" },
          ],
          text: count(one.rows),
          tip: `${one.value}: ${counted(one.rows, "row")}, ${count(one.failed)} fail`,
        })),
        width,
      ),
    table: () => ({
      columns: ["value", "rows", "fail"].map((title, i) => ({ title, number: i > 0 })),
      rows: rule.members.map((one) => [
        strange(String(one.value)),
        count(one.rows),
        count(one.failed),
      ]),
    }),
  });
}
