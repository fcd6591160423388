// Elements. Texts of the crawl only ever become text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const LONG_TEXT = 400;
let lastId = 0;

/** A new id, unique in the page.
 * @param {string} stem @returns {string} */
function freshId(stem) {
  lastId += 1;
  return `${stem}-${lastId}`;
}

/**
 * @param {Element} node
 * @param {Object<string, any>} attributes `on` holds listeners, `vars` custom properties; null and
 *   false are left out.
 * @param {Array<Node|string|null|Array>} children
 */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "vars") {
      for (const [key, item] of Object.entries(value)) node.style.setProperty(key, item);
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element. @returns {HTMLElement} */
function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** An SVG element. @returns {SVGElement} */
function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** A text of the crawl, which may run in either direction. */
function strange(text) {
  return el("bdi", { dir: "auto" }, text ?? "");
}

/** A paragraph of the crawl; what is long is cut, with a button for the rest. */
function longText(text, attributes = {}, length = LONG_TEXT) {
  const shown = text ?? "";
  const body = el("span", { dir: "auto" }, shorten(shown, length));
  const box = el("p", { ...attributes, class: `text ${attributes.class ?? ""}` }, body);
  if (body.textContent !== shown) {
    const more = el(
      "button",
      { type: "button", class: "more" },
      `all ${count(shown.length)} characters`,
    );
    more.addEventListener("click", () => {
      body.textContent = shown;
      more.remove();
    });
    box.append(" ", more);
  }
  return box;
}

/** A link to a page of the crawl; only http and https may be followed, the rest is text. */
function outside(url, label) {
  const text = shorten(label ?? url ?? "", 90);
  let target = null;
  try {
    target = new URL(url);
  } catch {
    // Crawls hold what is no URL.
  }
  if (!target || !["http:", "https:"].includes(target.protocol)) return strange(text);
  return el(
    "a",
    {
      href: target.href,
      rel: "noopener noreferrer nofollow",
      target: "_blank",
      title: shorten(url, 500),
    },
    strange(text),
  );
}

/**
 * A picture of the report, or a box that says that there is none.
 * @param {Object<string, string>} pictures data URLs by key
 * @param {string|null} key
 * @param {string} text what describes it
 * @param {boolean} unsafe a safety gate dropped it: it is veiled until it is asked for
 */
function picture(pictures, key, text, unsafe) {
  const source = key === null || key === undefined ? null : pictures[key];
  if (!source || !source.startsWith("data:image/")) {
    return el("span", { class: "picture empty" }, "no picture kept");
  }
  const alt = shorten((text ?? "").trim(), 150) || "picture without text";
  const image = el("img", { src: source, alt, decoding: "async" });
  if (!unsafe) return el("span", { class: "picture" }, image);
  const box = el("span", { class: "picture veiled" }, image);
  const button = el("button", { type: "button", class: "unveil", "aria-pressed": "false" }, "Show");
  button.setAttribute("aria-label", `Show the picture that a safety gate dropped: ${alt}`);
  button.addEventListener("click", () => {
    const veiled = box.classList.toggle("veiled");
    button.textContent = veiled ? "Show" : "Blur";
    button.setAttribute("aria-pressed", String(!veiled));
  });
  box.append(button);
  return box;
}

/** A heading of level 2 to 5. */
function heading(level, ...children) {
  return el(`h${level}`, {}, ...children);
}

/** A paragraph that explains. */
function note(...children) {
  return el("p", { class: "note" }, ...children);
}

/**
 * A table that scrolls inside its box.
 * @param {{caption: string, columns: Array<{title: string, number?: boolean}>, rows: Array<Array>,
 *   first?: number}} table cells are texts or nodes; rows after the first so many are folded
 */
function dataTable({ caption, columns, rows, first = 25 }) {
  const body = el("tbody", {});
  const add = (from, to) => {
    for (const row of rows.slice(from, to)) body.append(tableRow(columns, row));
  };
  add(0, first);
  const head = columns.map((c) =>
    el("th", { scope: "col", class: c.number ? "number" : null }, c.title),
  );
  const box = el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, el("span", {}, caption)),
      el("thead", {}, el("tr", {}, head)),
      body,
    ),
  );
  if (rows.length > first) {
    const more = el(
      "button",
      { type: "button", class: "more" },
      `show all ${count(rows.length)} rows`,
    );
    more.addEventListener("click", () => {
      add(first, rows.length);
      more.remove();
    });
    box.append(more);
  }
  return box;
}

function tableRow(columns, row) {
  return el(
    "tr",
    {},
    row.map((cell, i) => {
      const attributes = { class: columns[i].number ? "number" : null };
      return i ? el("td", attributes, cell) : el("th", { ...attributes, scope: "row" }, cell);
    }),
  );
}

/** Buttons of which one is pressed; `choose` is told its index. */
function choice(label, names, choose) {
  const buttons = names.map((name, i) =>
    el(
      "button",
      { type: "button", "aria-pressed": String(i === 0), on: { click: () => press(i) } },
      name,
    ),
  );
  const press = (chosen) => {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
    choose(chosen);
  };
  return el("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}
