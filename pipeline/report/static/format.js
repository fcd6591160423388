// Numbers and texts as the report shows them.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** A count with thousands separators; "unknown" where there is none.
 * @param {number|null|undefined} n @returns {string} */
function count(n) {
  return n === null || n === undefined ? "unknown" : WHOLE.format(n);
}

/** A count that fits on an axis: 12k.
 * @param {number} n @returns {string} */
function compact(n) {
  return COMPACT.format(n);
}

/** A measured value: whole numbers in full, others with four digits that count.
 * @param {number|null|undefined} n @returns {string} */
function measure(n) {
  if (n === null || n === undefined) return "none";
  if (Number.isInteger(n)) return Math.abs(n) < 1e15 ? WHOLE.format(n) : n.toExponential(3);
  return Math.abs(n) < 1e-4 || Math.abs(n) >= 1e15 ? n.toExponential(3) : SHORT.format(n);
}

/** A share as a percentage; small ones keep a digit that is not zero.
 * @param {number} part @param {number} [whole] @returns {string} */
function percent(part, whole = 1) {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  if (share === 0) return "0 %";
  if (Math.abs(share) < 0.01) return share > 0 ? "< 0.01 %" : "> -0.01 %";
  return `${share.toFixed(Math.abs(share) < 1 ? 2 : 1)} %`;
}

/** A count with its share. @param {number} part @param {number} whole @returns {string} */
function countAndShare(part, whole) {
  return `${count(part)} · ${percent(part, whole)}`;
}

/** A difference with its sign.
 * @param {number} n @returns {string} */
function signed(n) {
  if (n === 0) return "±0";
  return n > 0 ? `+${WHOLE.format(n)}` : `−${WHOLE.format(-n)}`;
}

/** A size in decimal units.
 * @param {number|null|undefined} n @returns {string} */
function byteSize(n) {
  if (n === null || n === undefined) return "unknown";
  let unit = 0;
  while (n >= 1000 && unit < BYTE_UNITS.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit ? SHORT.format(n) : WHOLE.format(n)} ${BYTE_UNITS[unit]}`;
}

/** A time span: 1 h 02 min.
 * @param {number} s @returns {string} */
function duration(s) {
  if (s < 60) return `${SHORT.format(s)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60)
    return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  return `${WHOLE.format(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** The first characters of a text, cut between code points.
 * @param {string} text @param {number} length @returns {string} */
function shorten(text, length) {
  if (text.length <= length) return text;
  const points = Array.from(text.slice(0, 2 * length));
  return points.length <= length ? points.join("") : `${points.slice(0, length - 1).join("")}…`;
}

/** The text with a capital at its start.
 * @param {string} text @returns {string} */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A snake_case name in words.
 * @param {string} name @returns {string} */
function words(name) {
  return name.replaceAll("_", " ");
}

/** @param {number} n @param {string} one @param {string} [many] @returns {string} */
function counted(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** @param {number[]} numbers @returns {number} */
function sum(numbers) {
  let total = 0;
  for (const n of numbers) total += n;
  return total;
}
