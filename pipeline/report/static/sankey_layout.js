// What a Sankey of a stream shows, before anything is drawn.

const TOLLS_SHOWN = 5;

/**
 * @typedef {Object} Toll
 * @property {string} name
 * @property {"rejected"|"failed"|"merged"} kind
 * @property {number} rows
 * @property {string|null} rule path of the rule that takes it
 *
 * @typedef {Object} SankeyStep
 * @property {Object} step as the report has it
 * @property {Toll[]} tolls the largest first, the tail merged
 * @property {number} unit_pixels pixels a row: the same as the step before where rows are the same
 * @property {boolean} breaks whether this step counts something else than the one before
 */

/** The tolls of a step, the largest first; a tail of two or more becomes one.
 * @param {Object} step @param {number} [shown] @returns {Toll[]} */
function mergedTolls(step, shown = TOLLS_SHOWN) {
  const tolls = step.tolls.filter((toll) => toll.rows > 0).sort((a, b) => b.rows - a.rows);
  if (tolls.length <= shown + 1) return tolls;
  const tail = tolls.slice(shown);
  const rows = sum(tail.map((toll) => toll.rows));
  return [
    ...tolls.slice(0, shown),
    { name: `${tail.length} more`, kind: "merged", rows, rule: null },
  ];
}

/**
 * Steps with their scales. Rows of one unit share a scale, so that bands can be compared; where a
 * step counts another thing (pages, then their captions), a new scale begins.
 * @param {Object} funnel @param {number} pixels of the widest band of a scale
 * @returns {SankeyStep[]}
 */
function sankeySteps(funnel, pixels) {
  const runs = [];
  funnel.steps.forEach((step, i) => {
    const before = funnel.steps[i - 1];
    const breaks = i > 0 && before.unit !== step.unit;
    if (i === 0 || breaks) runs.push([]);
    runs.at(-1).push({ step, tolls: mergedTolls(step), breaks });
  });
  for (const run of runs) {
    const most = Math.max(...run.map(({ step }) => step.in));
    for (const one of run) one.unit_pixels = most > 0 ? pixels / most : 0;
  }
  return runs.flat();
}

/** The pixels of a band: what is there at all can be seen. */
function bandOf(rows, unitPixels) {
  return rows > 0 ? Math.max(1.5, rows * unitPixels) : 0;
}

/** The tip of a toll. */
function tollWords(toll, step) {
  const verb = { rejected: "rejected by", failed: "failed with", merged: "lost to" }[toll.kind];
  const share = `${percent(toll.rows, step.in)} of ${count(step.in)}`;
  return `${step.title}: ${counted(toll.rows, "row")} ${verb} ${toll.name}, ${share}`;
}

/** The tip of a step. */
function stepWords(step) {
  const share = percent(step.kept, step.in);
  return `${step.title}: ${count(step.kept)} of ${count(step.in)} ${step.unit} kept (${share})`;
}
