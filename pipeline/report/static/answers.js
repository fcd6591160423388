// Sections Fetch and Synthetic captions: what was asked of others, and what they answered.

function drawFetch(report, box) {
  const found = report.fetch;
  box.append(
    note(
      `${counted(found.urls, "URL")} asked for at ${counted(found.hosts, "host")}: `,
      `${count(found.ok)} gave an image (${percent(found.ok, found.urls)}), `,
      `${byteSize(found.bytes)}.`,
    ),
    el(
      "div",
      { class: "grid" },
      barsFigure({
        kind: "outcomes",
        title: "Outcomes",
        unit: "URLs",
        size: "small",
        rows: (found.by_outcome ?? []).map((one) => ({
          label: words(one.outcome),
          value: one.urls,
        })),
      }),
      barsFigure({
        kind: "types",
        title: "Types of content",
        unit: "URLs",
        size: "small",
        rows: (found.by_type ?? []).map((one) => ({
          label: one.type ?? "none declared",
          value: one.urls,
          note: `${count(one.ok)} ok`,
        })),
      }),
    ),
  );
  if (found.by_host?.length) box.append(hostsFigure(found));
}

function hostsFigure(found) {
  return figure({
    kind: "hosts",
    title: "Hosts with the most URLs",
    legend: legend([
      ["kept", "ok"],
      ["dropped", "anything else"],
    ]),
    summary: `${counted(found.hosts, "host")}; most: ${found.by_host
      .slice(0, 3)
      .map((one) => `${one.host} ${count(one.urls)}, ${percent(one.ok, one.urls)} ok`)
      .join("; ")}.`,
    draw: (width) =>
      barsSvg(
        found.by_host.map((one) => ({
          label: one.host ?? "",
          parts: [
            { value: one.ok, kind: "kept" },
            { value: one.urls - one.ok, kind: "dropped" },
          ],
          text: countAndShare(one.urls, found.urls),
          tip:
            `${one.host}: ${counted(one.urls, "URL")}, ${percent(one.ok, one.urls)} ok` +
            (one.mostly ? `, else mostly ${words(one.mostly)}` : ""),
        })),
        width,
      ),
    table: () => ({
      columns: ["host", "URLs", "share", "ok", "else mostly"].map((title, i) => ({
        title,
        number: i > 0 && i < 4,
      })),
      rows: found.by_host.map((one) => [
        strange(one.host ?? ""),
        count(one.urls),
        percent(one.urls, found.urls),
        percent(one.ok, one.urls),
        words(one.mostly ?? ""),
      ]),
    }),
  });
}

function drawRecaption(report, box) {
  const found = report.recaption;
  const tokens = [
    [found.prompt_tokens, "prompt"],
    [found.completion_tokens, "completion"],
  ].filter(([n]) => n !== null && n !== undefined);
  box.append(
    note(
      `${counted(found.wanted, "caption")} asked for`,
      tokens.length
        ? `; tokens: ${tokens.map(([n, name]) => `${count(n)} ${name}`).join(", ")}.`
        : ".",
    ),
    el("div", { class: "grid" }, recaptionFigures(found)),
  );
}

function recaptionFigures(found) {
  const figures = [];
  if (found.outcomes?.length) {
    figures.push(
      barsFigure({
        kind: "recaption-outcomes",
        title: "Outcomes",
        unit: "captions",
        size: "small",
        rows: found.outcomes.map((one) => ({
          label: words(one.outcome),
          value: one.rows,
          note: one.meaning ?? "",
        })),
      }),
    );
  }
  if (found.problems?.length) {
    figures.push(
      barsFigure({
        kind: "recaption-problems",
        title: "Answers refused, by check",
        unit: "answers",
        size: "small",
        fill: "dropped",
        rows: found.problems.map((one) => ({ label: words(one.problem), value: one.rows })),
      }),
    );
  }
  if (found.trained_on?.length) {
    figures.push(
      barsFigure({
        kind: "trained-on",
        title: "Samples are trained on",
        unit: "samples",
        size: "small",
        rows: found.trained_on.map((one) => ({ label: words(one.origin), value: one.rows })),
      }),
    );
  }
  return figures;
}
