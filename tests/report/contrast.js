// Texts of the page whose contrast with what is behind them is below 4.5 to 1.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
// Any notation of a colour, as it is painted over a ground.
const paint = (colour, ground) => {
  canvas.globalCompositeOperation = "copy";
  canvas.fillStyle = `rgb(${ground.join(" ")})`;
  canvas.fillRect(0, 0, 1, 1);
  canvas.globalCompositeOperation = "source-over";
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const groundOf = (node) => {
  const chain = [];
  for (let at = node; at; at = at.parentElement) chain.unshift(at);
  return chain.reduce(
    (ground, at) => paint(getComputedStyle(at).backgroundColor, ground),
    [255, 255, 255],
  );
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility()) continue;
  const style = getComputedStyle(node);
  const inSvg = node instanceof SVGElement;
  let ground = groundOf(inSvg ? node.ownerSVGElement.parentElement : node);
  // This stands on a bar, whose colour is no background.
  if (node.classList.contains("on-fill")) {
    ground = paint(getComputedStyle(node.previousElementSibling).fill, ground);
  }
  const ink = paint(inSvg ? style.fill : style.color, ground);
  const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio >= 4.5) continue;
  const name = `${node.tagName}.${node.getAttribute("class")}`;
  found.push(`${ratio.toFixed(2)} ${name}: ${walker.currentNode.data.slice(0, 40)}`);
}
return [...new Set(found)];
