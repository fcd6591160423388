// Section Time: what each stage took, and all its counts.

const TOLLS_NAMED = 3;

function drawTime(report, box) {
  const total = sum(report.time.map((stage) => stage.seconds));
  const { prompt_tokens: asked, completion_tokens: written } = report.recaption ?? {};
  box.append(
    note(
      `The stages took ${duration(total)}, one after the other, each with all of its workers.`,
      written
        ? ` Captions cost ${count(asked ?? 0)} tokens of prompts, ${count(written)} of answers.`
        : "",
    ),
    timeFigure(report.time, total),
  );
  if (Object.keys(report.stages ?? {}).length) box.append(stageCounts(report.stages));
}

function timeFigure(stages, total) {
  const rate = (stage) =>
    stage.rows && stage.seconds > 0 ? measure(Math.round(stage.rows / stage.seconds)) : "–";
  return figure({
    kind: "time",
    title: "Time of each stage",
    summary: stages.map((stage) => `${stage.stage} ${duration(stage.seconds)}`).join(", "),
    draw: (width) =>
      barsSvg(
        stages.map((stage) => ({
          label: stage.stage,
          parts: [{ value: stage.seconds, kind: "plain" }],
          text: `${duration(stage.seconds)} · ${percent(stage.seconds, total)}`,
          tip:
            `${stage.stage}: ${duration(stage.seconds)}, ` +
            `${counted(stage.parts ?? 0, "part")}, ${counted(stage.rows ?? 0, "row")}`,
        })),
        width,
      ),
    table: () => ({
      columns: ["stage", "time", "share", "parts", "rows", "rows a second"].map((title, i) => ({
        title,
        number: i > 0,
      })),
      rows: stages.map((stage) => [
        stage.stage,
        duration(stage.seconds),
        percent(stage.seconds, total),
        count(stage.parts),
        count(stage.rows),
        rate(stage),
      ]),
    }),
  });
}

/** Every table of every stage, as the funnel of the command line has them. */
function stageCounts(stages) {
  const rows = Object.entries(stages).flatMap(([stage, facts]) =>
    Object.entries(facts.tables ?? {}).map(([table, counts]) => [
      stage,
      words(table),
      ...["in", "kept", "rejected", "failed"].map((key) => count(counts[key])),
      mostly(counts),
    ]),
  );
  const titles = ["stage", "table", "in", "kept", "rejected", "failed", "mostly"];
  const columns = titles.map((title, i) => ({ title, number: i > 1 && i < 6 }));
  return el(
    "details",
    {},
    el("summary", {}, "Counts of all tables"),
    dataTable({ caption: "In every row in = kept + rejected + failed", columns, rows, first: 80 }),
  );
}

/** The rules and errors that cost most. */
function mostly(counts) {
  const tolls = Object.entries({ ...counts.rejected_by_rule, ...counts.failed_by_error });
  tolls.sort((a, b) => b[1] - a[1]);
  const named = tolls.slice(0, TOLLS_NAMED).map(([name, n]) => `${name} ${count(n)}`);
  return strange(
    named.join(", ") + (tolls.length > TOLLS_NAMED ? `, ${tolls.length - TOLLS_NAMED} more` : ""),
  );
}
