// Bars that lie, and bars of shares.

/**
 * Horizontal bars, each of one or more parts.
 * @param {Array<{label: string, parts: Array<{value: number, kind: string}>, text: string,
 *   tip?: string}>} rows
 * @param {number} width
 */
function barsSvg(rows, width) {
  const left = Math.min(Math.max(0, ...rows.map((row) => textWidth(row.label))) + 12, width * 0.42);
  const right = Math.max(0, ...rows.map((row) => textWidth(row.text))) + 10;
  const most = Math.max(0, ...rows.map((row) => sum(row.parts.map((part) => part.value))));
  const scale = lengthScale(most, Math.max(20, width - left - right), false);
  const step = 26;
  const image = canvas(width, Math.max(1, rows.length) * step + 4);
  rows.forEach((row, i) => image.append(bar(row, left, i * step, scale)));
  return image;
}

function bar(row, left, y, scale) {
  const mark = svg("g", { class: "mark", "data-tip": row.tip ?? `${row.label}: ${row.text}` });
  const end = left + scale(sum(row.parts.map((part) => part.value)));
  mark.append(
    svg("rect", { x: 0, y, width: end + 4, height: 26, class: "hit" }),
    svg("text", { x: left - 8, y: y + 17, class: "label end" }, fitText(row.label, left - 10)),
  );
  let x = left;
  for (const part of row.parts) {
    const length = scale(part.value);
    if (part.value > 0) {
      mark.append(
        svg("rect", { x, y: y + 5, width: Math.max(1, length), height: 16, class: part.kind }),
      );
    }
    x += length;
  }
  mark.append(svg("text", { x: end + 6, y: y + 17, class: "label quiet" }, row.text));
  return mark;
}

/**
 * Rows of shares that fill the width.
 * @param {Array<{label: string, parts: Array<{name: string, share: number, kind: string}>}>} rows
 * @param {number} width
 */
function sharesSvg(rows, width) {
  const left = Math.min(96, width * 0.3);
  const step = 44;
  const image = canvas(width, rows.length * step + 2);
  rows.forEach((row, i) => {
    const y = i * step;
    image.append(svg("text", { x: left - 10, y: y + 24, class: "label end" }, row.label));
    let x = left;
    for (const part of row.parts) {
      const length = part.share * (width - left);
      const tip = `${row.label}: ${part.name} ${percent(part.share)}`;
      const mark = svg("g", { class: "mark", "data-tip": tip });
      mark.append(
        svg("rect", { x, y: y + 4, width: Math.max(0, length - 2), height: 32, class: part.kind }),
      );
      const text = percent(part.share);
      if (length > textWidth(text) * STRONG + 14) {
        mark.append(svg("text", { x: x + 8, y: y + 24, class: "label on-fill" }, text));
      }
      image.append(mark);
      x += length;
    }
  });
  return image;
}

/**
 * A chart of bars in its frame, from rows of one value each.
 * @param {{kind: string, title: string, unit: string, rows: Array<{label: string, value: number,
 *   text?: string, note?: string}>, fill?: string, shown?: number, size?: string}} bars
 */
function barsFigure({ kind, title, unit, rows, fill: colour = "kept", shown = 20, size }) {
  const total = sum(rows.map((row) => row.value));
  const textOf = (row) => row.text ?? countAndShare(row.value, total);
  const drawn = rows.slice(0, shown).map((row) => ({
    label: row.label,
    parts: [{ value: row.value, kind: colour }],
    text: textOf(row),
    tip: row.note ? `${row.label}: ${textOf(row)}, ${row.note}` : undefined,
  }));
  const top = rows.slice(0, 3).map((row) => `${row.label} ${textOf(row)}`);
  return figure({
    kind,
    title,
    size,
    summary: `${title}: ${counted(rows.length, "bar")}; ${top.join("; ") || "nothing"}.`,
    draw: (width) => barsSvg(drawn, width),
    table: () => ({
      columns: [{ title: "name" }, { title: unit, number: true }, { title: "note" }],
      rows: rows.map((row) => [strange(row.label), textOf(row), row.note ?? ""]),
    }),
    after:
      rows.length > shown
        ? note(`The first ${shown} of ${count(rows.length)}; the table has all.`)
        : null,
  });
}
