// Section Duplicates: clusters, the one that stays marked.

const KINDS_OF_CLUSTERS = {
  url: "Same URL",
  text: "Same text",
  near_text: "Similar text",
  image: "Same or similar image",
};

/** What the members of a cluster share. @param {string} kind @returns {string} */
function clusterTitle(kind) {
  return KINDS_OF_CLUSTERS[kind] ?? capital(words(kind));
}

function drawDuplicates(report, box) {
  if (report.duplicates?.sizes?.length)
    box.append(el("div", { class: "grid narrow-grid" }, sizeFigures(report.duplicates.sizes)));
  const clusters = report.galleries?.clusters ?? [];
  if (clusters.length)
    box.append(
      note("Members of a cluster by rank; the survivor is the one that the corpus keeps."),
    );
  const articles = clusters.map((cluster) => clusterArticle(cluster, report.pictures ?? {}));
  box.append(el("div", { class: "clusters" }, articles));
}

/** How many clusters there are of each size. */
function sizeFigures(sizes) {
  return [...grouped(sizes, (one) => one.kind)].map(([kind, rows]) =>
    barsFigure({
      kind: "clusters",
      title: `${clusterTitle(kind)}: clusters by size`,
      unit: "clusters",
      size: "small",
      rows: rows.map((one, i) => ({
        label: sizeWords(one, rows[i + 1]?.from),
        value: one.clusters,
        text: count(one.clusters),
        note: counted(one.members, "member"),
      })),
    }),
  );
}

/** The sizes of a bin; where all clusters are as large as its edge, just that. */
function sizeWords({ from, clusters, members }, next) {
  if (members === clusters * from || next === from + 1) return count(from);
  return next === undefined ? `${count(from)} or more` : `${count(from)} to ${count(next - 1)}`;
}

function clusterArticle(cluster, pictures) {
  const hidden = cluster.size - cluster.members.length;
  return el(
    "article",
    { class: "cluster" },
    heading(4, `${clusterTitle(cluster.kind)}: ${counted(cluster.size, "member")}`),
    el(
      "ul",
      { class: "members" },
      cluster.members.map((member) => memberCard(member, pictures)),
    ),
    hidden > 0 ? note(`${counted(hidden, "member")} more.`) : null,
  );
}

function memberCard(member, pictures) {
  const likeness =
    member.similarity === null || member.similarity === undefined
      ? null
      : `similarity ${measure(member.similarity)}`;
  return el(
    "li",
    { class: `card ${member.survives ? "is-chosen" : "is-dropped"}` },
    member.picture
      ? picture(pictures, member.picture, member.text || member.title, member.unsafe)
      : null,
    el(
      "div",
      { class: "body" },
      el(
        "p",
        { class: "badges" },
        member.survives ? badge("★ survives", "chosen") : badge("removed", "dropped"),
        member.rank === null || member.rank === undefined
          ? null
          : badge(`rank ${measure(member.rank)}`, "value"),
        likeness ? badge(likeness, "value") : null,
      ),
      member.title
        ? el("p", { class: "text" }, el("strong", {}, strange(shorten(member.title, 120))))
        : null,
      member.text ? longText(member.text, {}, 240) : null,
      el("p", { class: "from" }, outside(member.url)),
    ),
  );
}
