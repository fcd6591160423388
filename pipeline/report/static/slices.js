// Section Slices: what each rule costs each language, script, domain suffix, orientation and size.

const FLAGGED = 2; // times the mean from which a slice is flagged

function drawSlices(report, box) {
  box.append(
    note(
      "The share of rows that a rule fails, slice by slice, beside its mean over all rows. ",
      `A slice that loses more than ${FLAGGED} times the mean is flagged, `,
      "where it has rows enough to tell: ",
      "a rule that was made for one language or one kind of site may be wrong for another.",
    ),
  );
  for (const gate of report.slices) box.append(sliceGate(gate));
}

function sliceGate(gate) {
  const stage = el("div", {});
  // A corpus without images has no orientation.
  const dimensions = gate.dimensions.filter((one) => one.values.length);
  const show = (chosen) => stage.replaceChildren(sliceTable(gate, dimensions[chosen]));
  if (dimensions.length) show(0);
  return el(
    "div",
    { class: "slice", "data-chart": "slices" },
    heading(3, el("code", {}, gate.gate)),
    note(
      `${count(gate.kept)} of ${counted(gate.rows, gate.kind ?? "row")} kept `,
      `(${percent(gate.kept, gate.rows)}).`,
    ),
    gate.flags.length ? flagList(gate) : note("No slice is flagged."),
    dimensions.length > 1
      ? choice(
          "Dimension",
          dimensions.map((one) => one.name),
          show,
        )
      : null,
    stage,
  );
}

function flagList(gate) {
  const rows = gate.flags.map((flag) => [
    strange(String(flag.value ?? "unknown")),
    flag.dimension,
    ruleLink(`${gate.gate}.${flag.rule}`),
    percent(flag.rate),
    percent(flag.mean),
    flag.mean > 0 ? `▲ ${measure(Number((flag.rate / flag.mean).toFixed(1)))} ×` : "▲",
    count(flag.rows),
  ]);
  return dataTable({
    caption: `${counted(rows.length, "flag")}`,
    columns: ["slice", "of", "rule", "fails", "mean", "times", "rows"].map((title, i) => ({
      title,
      number: i > 2,
    })),
    rows,
    first: 8,
  });
}

/** Rules that fail any row, as columns; values of the dimension as rows. */
function sliceTable(gate, dimension) {
  const shown = gate.rules.map((_, r) => r).filter((r) => gate.failed[r] > 0);
  const means = gate.failed.map((failed) => (gate.rows ? failed / gate.rows : 0));
  const flagged = new Set(
    gate.flags
      .filter((flag) => flag.dimension === dimension.name)
      .map((flag) => `${flag.value}\n${flag.rule}`),
  );
  const meanRow = [
    "all rows",
    count(gate.rows),
    percent(gate.kept, gate.rows),
    ...shown.map((r) => percent(means[r])),
  ];
  const rows = dimension.values.map((one) => [
    strange(String(one.value ?? "unknown")),
    count(one.rows),
    percent(one.kept, one.rows),
    ...shown.map((r) => sliceCell(one, r, means[r], flagged.has(`${one.value}\n${gate.rules[r]}`))),
  ]);
  return dataTable({
    caption: `Rows that each rule fails, by ${dimension.name}${distinctWords(dimension)}`,
    columns: [
      { title: dimension.name },
      { title: "rows", number: true },
      { title: "kept", number: true },
      ...shown.map((r) => ({ title: gate.rules[r], number: true })),
    ],
    rows: [meanRow, ...rows],
    first: 16,
  });
}

/** How much of a dimension is shown. */
function distinctWords({ values, distinct }) {
  return distinct > values.length
    ? `: the ${count(values.length)} most frequent of ${count(distinct)}`
    : "";
}

/** A share, shaded by how far it lies above the mean; faintly where that is no flag. */
function sliceCell(one, rule, mean, flagged) {
  const rate = one.rows ? one.failed[rule] / one.rows : 0;
  const above = mean > 0 ? Math.max(0, Math.min(1, (rate / mean - 1) / 3)) : 0;
  const heat = flagged ? Math.max(0.4, above) : 0.3 * above;
  const tip =
    `${one.value ?? "unknown"}: ${count(one.failed[rule])} of ${count(one.rows)} fail, ` +
    `${percent(rate)}; mean ${percent(mean)}`;
  return el(
    "span",
    {
      class: `heat ${flagged ? "flagged" : ""}`,
      vars: { "--heat": heat.toFixed(3) },
      "data-tip": tip,
    },
    flagged ? "▲ " : null,
    percent(rate),
  );
}
