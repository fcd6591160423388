// One tooltip for all marks of all charts: under the pointer, or beside the mark that keys chose.

const MARK = "[data-tip]";

function showTip(mark) {
  const tip = document.getElementById("tip");
  tip.textContent = mark.getAttribute("data-tip");
  tip.hidden = false;
  const at = mark.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.min(at.left + at.width / 2 - size.width / 2, innerWidth - size.width - 8);
  const above = at.top - size.height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 8 ? above : Math.min(at.bottom + 8, innerHeight - size.height - 8)}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

function tellMarkUnder(event) {
  const mark = event.target.closest?.(MARK);
  if (mark) showTip(mark);
  else hideTip();
}

/** Lets the arrow keys walk over the marks of a drawing that has the focus. */
function walkMarks(drawing) {
  let at = -1;
  const leave = () => {
    drawing.querySelector(".at")?.classList.remove("at");
    hideTip();
  };
  drawing.addEventListener("keydown", (event) => {
    const steps = {
      ArrowRight: 1,
      ArrowDown: 1,
      ArrowLeft: -1,
      ArrowUp: -1,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key === "Escape") return leave();
    if (!(event.key in steps) || event.target !== drawing) return undefined;
    event.preventDefault();
    const marks = [...drawing.querySelectorAll(MARK)];
    if (!marks.length) return undefined;
    at = Math.max(0, Math.min(marks.length - 1, at + steps[event.key]));
    leave();
    marks[at].classList.add("at");
    return showTip(marks[at]);
  });
  drawing.addEventListener("blur", leave);
}

/** Begins to watch the page for marks that are pointed at or have the focus. */
function startTooltips() {
  document.addEventListener("pointerover", tellMarkUnder);
  document.addEventListener(
    "focusin",
    (event) => event.target.matches?.(MARK) && showTip(event.target),
  );
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", hideTip, { passive: true });
}
