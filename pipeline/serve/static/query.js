// The page of queries: asks the server, and shows what it says as text.

const FIRST_ROWS = 100;
const IMAGE_KEY = /^[0-9a-f]{32}$/;
const SAMPLE_KEY = /^[0-9a-f]{8,64}$/;
const EXAMPLES = [
  {
    title: "What each rule dropped",
    tables: ["ledger"],
    sql: "SELECT gate, rule, count(*) AS rows\nFROM ledger WHERE decisive\nGROUP BY ALL ORDER BY rows DESC",
  },
  {
    title: "Captioned samples",
    tables: ["samples"],
    sql: "SELECT key, json ->> 'image_key' AS image_key, txt, json ->> 'page_url' AS page_url\nFROM samples WHERE stream = 'captioned'\nORDER BY key LIMIT 100",
  },
  {
    title: "Captions that a rule dropped",
    tables: ["ledger", "captions", "image_answers"],
    sql: "SELECT l.rule, l.value, l.threshold, a.image_key, c.text\nFROM ledger l\nJOIN captions c ON c.caption_id = l.id\nJOIN image_answers a USING (image_url)\nWHERE l.gate = 'shard.captioned' AND l.decisive\nORDER BY l.rule, l.value LIMIT 100",
  },
  {
    title: "Largest images",
    tables: ["image_answers"],
    sql: "SELECT image_key, width, height, size, image_url\nFROM image_answers WHERE outcome = 'ok'\nORDER BY width * height DESC LIMIT 100",
  },
  {
    title: "Copies of an image",
    tables: ["image_clusters"],
    sql: "SELECT id AS image_key, cluster_id, rank, similarity, documents, sites\nFROM image_clusters\nQUALIFY count(*) OVER (PARTITION BY cluster_id) > 1\nORDER BY cluster_id, rank LIMIT 100",
  },
  {
    title: "Samples by site",
    tables: ["samples"],
    sql: "SELECT json ->> 'site' AS site, stream, count(*) AS samples\nFROM samples\nGROUP BY ALL ORDER BY samples DESC",
  },
  {
    title: "A table in short",
    tables: ["samples"],
    sql: "SUMMARIZE SELECT stream, split, text_length FROM samples",
  },
];

const at = (id) => document.getElementById(id);
let running = null;

/** JSON whose large integers stay what they are. */
function exactJson(text) {
  return JSON.parse(text, (name, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value,
  );
}

/** JSON of a value that may hold large integers. */
function jsonText(value) {
  return JSON.stringify(value, (name, item) => (typeof item === "bigint" ? String(item) : item));
}

async function ask(address, signal) {
  const response = await fetch(address, { signal });
  const text = await response.text();
  let answer = null;
  try {
    answer = exactJson(text);
  } catch {
    // A proxy, or the server at its end, says something else.
  }
  if (!response.ok || answer === null) throw new Error(answer?.error ?? `the server answers ${response.status}`);
  return answer;
}

async function run() {
  const sql = at("sql").value.trim();
  if (!sql) return;
  running?.abort();
  const own = (running = new AbortController());
  const address = `#sql=${encodeURIComponent(sql)}`;
  if (location.hash !== address) history.pushState(null, "", address);
  at("stop").hidden = false;
  at("status").textContent = "asking …";
  try {
    const result = await ask(`/api/sql?q=${encodeURIComponent(sql)}`, own.signal);
    at("status").textContent = `${rowsText(result)}, ${measure(result.seconds)} s`;
    at("result").replaceChildren(resultTable(result));
  } catch (error) {
    if (own !== running) return;
    const stopped = error.name === "AbortError";
    at("status").textContent = stopped ? "stopped" : "no result";
    const told = error.name === "TypeError" ? "the server does not answer; is it running?" : error.message;
    at("result").replaceChildren(stopped ? "" : el("p", { class: "error", role: "alert" }, told));
  } finally {
    if (own === running) {
      running = null;
      at("stop").hidden = true;
      document.documentElement.dataset.answered = String(Number(document.documentElement.dataset.answered ?? 0) + 1);
    }
  }
}

function rowsText({ rows, count: all, truncated, counted }) {
  if (!counted) return `the first ${count(rows.length)} of more than ${count(all)} rows`;
  if (truncated) return `the first ${count(rows.length)} of ${count(all)} rows`;
  return all === 1 ? "1 row" : `${count(all)} rows`;
}

function resultTable({ columns, rows }) {
  if (!rows.length) return el("p", { class: "quiet" }, `No row. Columns: ${columns.join(", ")}`);
  const isNumber = columns.map((_, i) => rows.every((row) => row[i] === null || ["number", "bigint"].includes(typeof row[i])));
  return dataTable({
    caption: "Result",
    columns: columns.map((title, i) => ({ title, number: isNumber[i] })),
    rows: rows.map((row) => row.map((value, i) => cell(columns[i], value))),
    first: FIRST_ROWS,
  });
}

/** A value of a column as what it is: a picture, a link, a text. */
function cell(column, value) {
  if (value === null) return el("span", { class: "quiet" }, "null");
  if (typeof value === "string") {
    if (/image_key/.test(column) && IMAGE_KEY.test(value)) return thumbnail(value);
    if (/^(sample_)?key$/.test(column) && SAMPLE_KEY.test(value)) {
      return el("a", { href: `/api/sample/${value}`, class: "plain" }, el("code", {}, shorten(value, 12)));
    }
    if (/^https?:\/\//.test(value)) return outside(value);
    return value.length > 40 ? longText(value) : strange(value);
  }
  if (typeof value === "object") return longText(jsonText(value));
  return String(value);
}

function thumbnail(key) {
  const link = el("a", { href: `/image/${key}`, class: "thumbnail", title: key });
  // In this order: a picture that is not seen is not asked for.
  const image = el("img", { loading: "lazy", decoding: "async", alt: `image ${key}`, src: `/image/${key}` });
  image.addEventListener("error", () => link.replaceChildren(el("code", {}, shorten(key, 12))));
  link.append(image);
  return link;
}

function drawExamples(tables) {
  const filled = new Set(tables.filter((table) => table.files).map((table) => table.name));
  for (const { title, sql, tables: needed } of EXAMPLES) {
    if (!needed.every((name) => filled.has(name))) continue;
    at("examples").append(el("li", {}, el("button", { type: "button", on: { click: () => show(sql) } }, title)));
  }
}

function drawTables(tables) {
  for (const table of tables) {
    const size = table.files ? (table.bytes === null ? "" : byteSize(table.bytes)) : "empty";
    at("tables").append(
      el(
        "details",
        {},
        el("summary", {}, el("code", {}, table.name), " ", el("span", { class: "quiet" }, size)),
        table.meaning ? el("p", {}, table.meaning) : null,
        el("button", { type: "button", on: { click: () => show(`FROM ${table.name} LIMIT 100`) } }, "Look at it"),
        el("dl", {}, table.columns.map(({ name, type }) => [el("dt", {}, el("code", {}, name)), el("dd", {}, shorten(type, 200))])),
      ),
    );
  }
}

/** Puts a query into the box and runs it. */
function show(sql) {
  at("sql").value = sql;
  at("sql").scrollIntoView({ block: "nearest" });
  run();
}

/** Runs what the address holds. */
function follow() {
  const found = /^#sql=(.*)$/s.exec(location.hash);
  if (!found) return;
  try {
    at("sql").value = decodeURIComponent(found[1]);
  } catch {
    return; // cut in the middle of a character
  }
  run();
}

async function main() {
  at("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  at("sql").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
  at("stop").addEventListener("click", () => running?.abort());
  at("pictures").addEventListener("change", ({ target }) => at("result").classList.toggle("no-pictures", !target.checked));
  addEventListener("popstate", follow);
  follow();
  try {
    const { tables } = await ask("/api/tables");
    drawExamples(tables);
    drawTables(tables);
  } catch (error) {
    at("tables").append(el("p", { class: "error" }, error.message));
  }
  document.documentElement.dataset.drawn = "all";
}

main();
