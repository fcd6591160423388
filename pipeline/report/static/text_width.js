// How wide a label of a chart is: SVG neither wraps nor cuts.

const LABEL_PIXELS = 12;
const STRONG = 1.08; // a bold label by a plain one
let ruler = null;

/** Pixels of a label. @param {string} text @returns {number} */
function textWidth(text) {
  if (!ruler) {
    ruler = document.createElement("canvas").getContext("2d");
    ruler.font = `${LABEL_PIXELS}px ${getComputedStyle(document.body).fontFamily}`;
  }
  return ruler.measureText(text).width;
}

/** The text, or as much of it as fits.
 * @param {string} text @param {number} room @returns {string} */
function fitText(text, room) {
  if (textWidth(text) <= room) return text;
  const points = Array.from(text.slice(0, 400));
  let length = points.length;
  while (length > 1 && textWidth(`${points.slice(0, length).join("")}…`) > room) length -= 1;
  return `${points.slice(0, length).join("")}…`;
}

/** The text on lines of words that fit; the last line is cut where there are too many.
 * @param {string} text @param {number} room @param {number} most lines @returns {string[]} */
function wrapText(text, room, most) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (lines.at(-1) === "" || lines.length === most || textWidth(longer) <= room)
      lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => fitText(line, room));
}
