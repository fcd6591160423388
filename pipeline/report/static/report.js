// The page: sections that have something to show, drawn one after the other while the page is read.

/** @type {Array<{id: string, title: string, has: (report: Object) => boolean,
 *   draw: (report: Object, box: HTMLElement) => void}>} */
const SECTIONS = [
  { id: "overview", title: "Overview", has: () => true, draw: drawOverview },
  {
    id: "funnel",
    title: "Funnel",
    has: (r) => r.funnels?.some((one) => one.steps.length),
    draw: drawFunnel,
  },
  { id: "distributions", title: "Distributions", has: hasDistributions, draw: drawDistributions },
  { id: "domains", title: "Domains", has: hasDomains, draw: drawDomains },
  {
    id: "explorer",
    title: "Explorer",
    has: (r) => r.explorers?.some((one) => one.rules.length),
    draw: drawExplorer,
  },
  { id: "rules", title: "Rules", has: (r) => r.rules?.length, draw: drawRules },
  {
    id: "captions",
    title: "Captions",
    has: (r) => r.galleries?.captions?.length,
    draw: drawCaptions,
  },
  {
    id: "documents",
    title: "Documents",
    has: (r) => r.galleries?.documents?.length,
    draw: drawDocuments,
  },
  {
    id: "duplicates",
    title: "Duplicates",
    has: (r) => r.duplicates?.sizes?.length || r.galleries?.clusters?.length,
    draw: drawDuplicates,
  },
  { id: "slices", title: "Slices", has: (r) => r.slices?.length, draw: drawSlices },
  { id: "fetch", title: "Fetch", has: (r) => r.fetch?.urls, draw: drawFetch },
  {
    id: "recaption",
    title: "Synthetic captions",
    has: (r) => r.recaption?.wanted,
    draw: drawRecaption,
  },
  { id: "time", title: "Time", has: (r) => r.time?.length, draw: drawTime },
];

/** Draws sections in turn, each in a task of its own, and all at once when they are needed. */
class Drawer {
  constructor(report, sections) {
    this.waiting = sections.map(
      ({ section, box }) =>
        () =>
          section.draw(report, box),
    );
  }

  start() {
    if (!this.waiting.length) {
      document.documentElement.dataset.drawn = "all";
      return;
    }
    // First the timer: a section that cannot be drawn says so on the console and holds up no other.
    setTimeout(() => this.start());
    this.next();
  }

  next() {
    this.waiting.shift()();
  }

  all() {
    while (this.waiting.length) this.next();
  }
}

/** Shows what the address points to: draws it, opens what it lies in. */
function goTo(drawer) {
  if (!location.hash) return;
  drawer.all();
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
  }
  target.scrollIntoView();
  const focused = target.tagName === "DETAILS" ? target.querySelector("summary") : target;
  focused.focus({ preventScroll: true });
}

function drawNavigation(sections) {
  const links = sections.map(({ section }) => el("a", { href: `#${section.id}` }, section.title));
  document.getElementById("nav").append(
    el(
      "ul",
      { class: "wide" },
      links.map((link) => el("li", {}, link)),
    ),
  );
  links[0].setAttribute("aria-current", "true");
  const seen = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        const link = links.find((one) => one.hash === `#${target.id}`);
        if (isIntersecting) {
          links.forEach((one) => one.removeAttribute("aria-current"));
          link.setAttribute("aria-current", "true");
          link.parentElement.parentElement.scrollTo({ left: link.offsetLeft - 40 });
        }
      }
    },
    { rootMargin: "-20% 0px -70% 0px" },
  );
  sections.forEach(({ box }) => seen.observe(box.parentElement));
}

function main() {
  const report = JSON.parse(document.getElementById("data").textContent);
  const place = document.getElementById("main");
  numberRules(report.rules ?? []);
  drawHead(report, document.getElementById("head"));
  const sections = SECTIONS.filter((section) => section.has(report)).map((section) => {
    const box = el("div", {});
    place.append(
      el(
        "section",
        { id: section.id, tabindex: "-1", "aria-labelledby": `${section.id}-title` },
        el("h2", { id: `${section.id}-title` }, section.title),
        box,
      ),
    );
    return { section, box };
  });
  drawNavigation(sections);
  startTooltips();
  document
    .getElementById("foot")
    .append(
      note(
        "Made by Weft. Nothing on this page is loaded from anywhere else; ",
        "texts and pictures are those of the crawl.",
      ),
    );
  const drawer = new Drawer(report, sections);
  drawer.start();
  addEventListener("hashchange", () => goTo(drawer));
  addEventListener("beforeprint", () => drawer.all());
  if (location.hash) goTo(drawer);
  // For whoever counts along: the numbers, and the arithmetic of the explorer.
  window.weft = Object.freeze({ report, countRows, recipeLines, sankeySteps });
}

main();
