// Section Domains: the sites and languages that samples come from, and their shares.

function hasDomains(report) {
  return Object.values(report.streams ?? {}).some(
    (facts) => facts.top_sites?.length || facts.languages?.length,
  );
}

function drawDomains(report, box) {
  for (const [stream, facts] of Object.entries(report.streams)) {
    const figures = [
      facts.top_sites?.length ? sitesFigure(facts) : null,
      facts.languages?.length ? languagesFigure(facts) : null,
    ].filter(Boolean);
    if (figures.length)
      box.append(heading(3, streamTitle(stream)), el("div", { class: "grid wide-grid" }, figures));
  }
}

function sitesFigure(facts) {
  const of = facts.samples_in_tables || facts.samples || 0;
  return barsFigure({
    kind: "sites",
    title: `Top ${count(facts.top_sites.length)} of ${counted(facts.sites, "domain")}`,
    unit: "samples",
    size: "small",
    rows: facts.top_sites.map((one) => ({
      label: one.site ?? "unknown",
      value: one.samples,
      text: countAndShare(one.samples, of),
    })),
  });
}

function languagesFigure(facts) {
  return barsFigure({
    kind: "languages",
    title: "Languages",
    unit: "samples",
    size: "small",
    rows: facts.languages.map((one) => ({ label: one.language ?? "unknown", value: one.samples })),
  });
}
