// Cards of examples: a picture, a text, and why it was kept or dropped.

/** An example of a rule. */
function exampleCard(example, pictures, kept) {
  const value =
    example.value_text ??
    (example.value === null || example.value === undefined ? null : measure(example.value));
  const wantsPicture = example.picture || ["caption", "image"].includes(example.kind);
  return el(
    "li",
    { class: `card ${kept ? "is-kept" : "is-dropped"}` },
    wantsPicture ? picture(pictures, example.picture, example.text, example.unsafe) : null,
    el(
      "div",
      { class: "body" },
      el(
        "p",
        { class: "badges" },
        badge(value === null ? "no value" : shorten(value, 40), "value"),
        example.decisive && !kept ? badge("decisive", "dropped") : null,
      ),
      longText(example.text),
      el(
        "p",
        { class: "from" },
        outside(example.url),
        example.image_url ? [" · ", outside(example.image_url, "image")] : null,
      ),
      fateOf(example, kept),
    ),
  );
}

function badge(text, kind) {
  return el("span", { class: `badge ${kind}` }, strange(text));
}

/** What else became of an example. */
function fateOf(example, kept) {
  const parts = [];
  if (example.also?.length) parts.push(`also fails ${example.also.join(", ")}`);
  if (kept && example.lost) parts.push(["lost later to ", ruleLink(example.lost)]);
  return parts.length
    ? el(
        "p",
        { class: "from" },
        parts.flatMap((part, i) => (i ? ["; ", part] : [part])),
      )
    : null;
}

/** Two columns: what a rule kept and what it dropped, nearest to the threshold first. */
function exampleColumns(examples, pictures) {
  const column = (title, found, kept) =>
    el(
      "div",
      {},
      heading(5, `${title}, nearest to the threshold first`),
      found.length
        ? el(
            "ul",
            { class: "cards-list" },
            found.map((example) => exampleCard(example, pictures, kept)),
          )
        : note("No example."),
    );
  return el(
    "div",
    { class: "columns" },
    column("Kept", examples.kept ?? [], true),
    column("Dropped", examples.dropped ?? [], false),
  );
}
