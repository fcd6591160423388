// Section Documents: interleaved documents as a reader would see them.

function drawDocuments(report, box) {
  box.append(note("In reading order. What a rule dropped is struck out, with the rule."));
  const pictures = report.pictures ?? {};
  report.galleries.documents.forEach((page, i) =>
    box.append(documentDetails(page, pictures, i === 0)),
  );
}

/** A document that opens; the first is open. */
function documentDetails(page, pictures, open) {
  const dropped = page.nodes.filter((node) => !node.kept).length;
  const images = page.nodes.filter((node) => node.kind === "image").length;
  const fate = page.kept
    ? badge("kept", "kept")
    : badge(`dropped${page.rule ? `: ${page.rule.split(".").at(-1)}` : ""}`, "dropped");
  const sheet = el("article", { class: "sheet" });
  const fillSheet = () => {
    if (sheet.firstChild) return;
    sheet.append(
      el("p", { class: "from" }, outside(page.url)),
      page.kept
        ? ""
        : el(
            "p",
            { class: "why" },
            "This document was dropped",
            page.rule ? [" by ", ruleLink(page.rule)] : null,
            ".",
          ),
      ...page.nodes.map((node) => documentNode(node, pictures)),
    );
  };
  const node = el(
    "details",
    { class: "document", open },
    el(
      "summary",
      {},
      el("strong", {}, strange(shorten(page.title || page.url || page.id || "untitled", 90))),
      fate,
      el(
        "span",
        { class: "quiet number" },
        `${counted(page.nodes.length, "node")}, ${counted(images, "image")}, `,
        `${count(dropped)} dropped`,
      ),
    ),
    sheet,
  );
  if (open) fillSheet();
  node.addEventListener("toggle", fillSheet);
  return node;
}

/** A block of text: a heading where Markdown has one, else a paragraph. */
function readingText(text) {
  const found = /^(#{1,6}) ([^\n]+)$/.exec(text);
  if (!found) return longText(text, {}, 1200);
  return el(
    "p",
    { class: `heading level-${found[1].length}`, dir: "auto" },
    shorten(found[2], 400),
  );
}

function documentNode(node, pictures) {
  const why = node.kept
    ? null
    : el(
        "p",
        { class: "why" },
        "dropped",
        node.rule ? [" by ", ruleLink(node.rule)] : null,
        node.value === null || node.value === undefined
          ? null
          : [
              ": ",
              strange(
                shorten(
                  typeof node.value === "number" ? measure(node.value) : String(node.value),
                  80,
                ),
              ),
            ],
      );
  const struck = node.kept ? "" : "struck";
  if (node.kind === "image") {
    const caption = node.text || node.alt;
    return el(
      "figure",
      { class: `item ${struck}` },
      picture(pictures, node.picture, node.alt || node.text, node.unsafe),
      caption
        ? el(
            "figcaption",
            {},
            node.kept
              ? strange(shorten(caption, 300))
              : el("s", {}, strange(shorten(caption, 300))),
          )
        : null,
      why,
    );
  }
  const text = readingText(node.text ?? "");
  return el(
    "div",
    { class: `item ${struck}` },
    node.kept ? text : el("s", { class: "block" }, text),
    why,
  );
}
