// Section Funnel: a Sankey for each stream, and all its tolls as a table.

function drawFunnel(report, box) {
  box.append(
    note(
      "From the crawl to the shards. The width of a band is its rows; ",
      "what leaves it is the toll of one rule. ",
      "Where a step counts another thing than the one before it, a new scale begins.",
    ),
    legend([
      ["kept", "kept"],
      ["dropped", "rejected by a rule"],
      ["error", "failed: could not be judged"],
      ["merged", "smaller tolls, together"],
      ["breaks", "counts another thing from here: a new scale"],
    ]),
  );
  for (const funnel of report.funnels.filter((one) => one.steps.length))
    box.append(funnelFigure(funnel));
}

function funnelFigure(funnel) {
  const notes = funnel.steps.map((step) => step.note).filter(Boolean);
  return figure({
    kind: "sankey",
    title: capital(funnel.title),
    summary: funnelWords(funnel),
    draw: (width) => sankeySvg(funnel, width),
    after: notes.length
      ? el(
          "ol",
          { class: "notes" },
          notes.map((text) => el("li", {}, text)),
        )
      : null,
    table: () => ({
      columns: ["step", "of", "in", "kept", "toll", "rows", "of step"].map((title, i) => ({
        title,
        number: [2, 3, 5, 6].includes(i),
      })),
      rows: funnel.steps.flatMap(funnelRows),
      first: 60,
    }),
  });
}

/** A row for a step, and one for each of its tolls. */
function funnelRows(step) {
  const tolls = step.tolls.filter((toll) => toll.rows > 0).sort((a, b) => b.rows - a.rows);
  const head = [
    step.title,
    step.unit,
    count(step.in),
    count(step.kept),
    "",
    count(step.rejected + step.failed),
  ];
  return [
    [...head, percent(step.rejected + step.failed, step.in)],
    ...tolls.map((toll) => [
      el("span", { class: "quiet" }, step.title),
      "",
      "",
      "",
      toll.rule ? el("a", { href: ruleHref(toll.rule) }, toll.name) : strange(toll.name),
      count(toll.rows),
      percent(toll.rows, step.in),
    ]),
  ];
}
