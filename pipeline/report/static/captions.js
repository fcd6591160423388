// Section Captions: all captions of an image side by side.

function drawCaptions(report, box) {
  box.append(
    note(
      "What the page says of an image, what models wrote, and which text a sample is trained on.",
    ),
  );
  for (const one of report.galleries.captions) box.append(captionRow(one, report.pictures ?? {}));
}

function captionRow(one, pictures) {
  const chosen = one.captions.find((caption) => caption.chosen) ?? one.captions[0];
  return el(
    "article",
    { class: "caption-row" },
    el(
      "div",
      { class: "subject" },
      picture(pictures, one.picture, chosen?.text, one.unsafe),
      el("p", { class: "from" }, outside(one.url)),
    ),
    el("ul", { class: "versions" }, one.captions.map(captionCard)),
  );
}

function captionCard(caption) {
  const scores = Object.entries(caption.scores ?? {});
  return el(
    "li",
    { class: `card ${caption.chosen ? "is-chosen" : ""}` },
    el(
      "div",
      { class: "body" },
      el(
        "p",
        { class: "badges" },
        el("strong", {}, caption.origin ?? "caption"),
        caption.chosen ? badge("✓ chosen", "chosen") : null,
        caption.outcome ? badge(words(caption.outcome), "value") : null,
      ),
      longText(caption.text),
      caption.model ? el("p", { class: "from" }, strange(caption.model)) : null,
      scores.length
        ? el(
            "dl",
            { class: "scores" },
            scores.map(([name, value]) =>
              el("div", {}, el("dt", {}, words(name)), el("dd", {}, measure(value))),
            ),
          )
        : null,
    ),
  );
}
