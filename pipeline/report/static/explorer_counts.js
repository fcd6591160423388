// How many rows a gate would keep: arithmetic on the counts of the report, without a page.

/**
 * Where the threshold of a rule stands. Cuts count from 1; a lower limit at 0 and an upper limit
 * behind the last cut are none.
 * @typedef {{lower: number, upper: number}|{passes: boolean[]}} Setting
 *
 * @typedef {Object} Counts
 * @property {number} kept
 * @property {number[]} languages rows kept, by index of `explorer.languages`
 * @property {Object<string, {rows: number[], others: number[]|null}>} bins rows of each bin of each
 *   rule, and of these the rows that pass every other rule; null where the counts do not tell
 */

/** Number of the cut at a limit, from 1; the report always has it. */
function cutNumber(cuts, value, side) {
  return cuts.findIndex((cut) => cut[0] === value && cut[1] === side) + 1;
}

/** The setting of the recipe. @param {Object} rule @returns {Setting} */
function recipeSetting(rule) {
  if (rule.form === "members") {
    const members = new Set(rule.members ?? []);
    return { passes: rule.values.map((value) => members.has(value) !== rule.exclude) };
  }
  const none = rule.cuts.length + 1;
  return {
    lower: rule.lower === null ? 0 : cutNumber(rule.cuts, rule.lower, rule.above ? 1 : 0),
    upper:
      rule.upper === null ? none : cutNumber(rule.cuts, rule.upper, rule.below ? 0 : 1) || none,
  };
}

/** Whether a setting differs from the recipe's. */
function isMoved(rule, setting) {
  return setting !== undefined && JSON.stringify(setting) !== JSON.stringify(recipeSetting(rule));
}

/** Number of bins of a rule, with that of NULL. */
function binCount(rule) {
  return rule.form === "members" ? rule.values.length + 2 : rule.cuts.length + 2;
}

/**
 * Which bins pass.
 * @param {Object} rule @param {Setting} setting
 * @returns {Uint8Array} 1 for a bin that passes; bin 0, NULL, never does
 */
function passingBins(rule, setting) {
  const passing = new Uint8Array(binCount(rule));
  for (let bin = 1; bin < passing.length; bin += 1) {
    if (rule.form === "range") passing[bin] = bin > setting.lower && bin <= setting.upper ? 1 : 0;
    else
      passing[bin] = (bin <= rule.values.length ? setting.passes[bin - 1] : rule.exclude) ? 1 : 0;
  }
  return passing;
}

/**
 * Counts under changed settings. Joint rules may be moved together; of the others one may be moved
 * while all else is as in the recipe.
 * @param {Object} explorer of the report
 * @param {Object<string, Setting>} settings by path; a rule that has none is as in the recipe
 * @returns {Counts}
 */
function countRows(explorer, settings) {
  const moved = explorer.rules.filter((rule) => isMoved(rule, settings[rule.path]));
  const alone = moved.filter((rule) => !rule.is_joint);
  if (alone.length && moved.length > 1) throw new Error(`${alone[0].path} can only be moved alone`);
  const counts = { kept: explorer.kept, languages: explorer.languages.map(() => 0), bins: {} };
  for (const rule of explorer.rules)
    counts.bins[rule.path] = { rows: totalRows(explorer, rule), others: null };
  const singles = explorer.rules.filter((rule) => !rule.is_joint && explorer.single[rule.path]);
  for (const rule of singles) {
    if (moved.some((one) => one !== rule)) continue;
    counts.bins[rule.path].others = passingOthers(explorer.single[rule.path], binCount(rule));
  }
  if (alone.length)
    return Object.assign(counts, keptAlone(explorer, alone[0], settings[alone[0].path]));
  if (explorer.joint) return countJoint(explorer, settings, counts);
  if (singles.length)
    Object.assign(counts, keptAlone(explorer, singles[0], recipeSetting(singles[0])));
  return counts;
}

const totals = new WeakMap();

/** All rows by bin, whatever the thresholds are; counted once a rule. */
function totalRows(explorer, rule) {
  if (!totals.has(rule)) totals.set(rule, rowsByBin(explorer, rule));
  return totals.get(rule);
}

function rowsByBin(explorer, rule) {
  const total = new Array(binCount(rule)).fill(0);
  const table = rule.is_joint ? explorer.joint : explorer.single[rule.path];
  if (!table) return total;
  const at = explorer.rules.filter((one) => one.is_joint).indexOf(rule);
  const bins = rule.is_joint ? table.bins[at] : table.bins;
  table.rows.forEach((n, i) => {
    total[bins[i]] += n;
  });
  return total;
}

function passingOthers(single, bins) {
  const others = new Array(bins).fill(0);
  single.rows.forEach((n, i) => {
    if (single.rest[i]) others[single.bins[i]] += n;
  });
  return others;
}

function keptAlone(explorer, rule, setting) {
  const { bins, language, rest, rows } = explorer.single[rule.path];
  const passing = passingBins(rule, setting);
  const languages = explorer.languages.map(() => 0);
  let kept = 0;
  for (let i = 0; i < rows.length; i += 1) {
    if (!rest[i] || !passing[bins[i]]) continue;
    kept += rows[i];
    languages[language[i]] += rows[i];
  }
  return { kept, languages };
}

/** One pass over the joint counts: a row that fails no rule is kept and counts for all rules, one
 * that fails a single rule counts for that rule only. */
function countJoint(explorer, settings, counts) {
  const rules = explorer.rules.filter((rule) => rule.is_joint);
  const { bins, language, rest, rows } = explorer.joint;
  const passing = rules.map((rule) =>
    passingBins(rule, settings[rule.path] ?? recipeSetting(rule)),
  );
  const others = rules.map((rule) => new Array(binCount(rule)).fill(0));
  let kept = 0;
  for (let i = 0; i < rows.length; i += 1) {
    if (!rest[i]) continue;
    let fails = 0;
    let failing = 0;
    for (let r = 0; r < rules.length && fails < 2; r += 1) {
      if (!passing[r][bins[r][i]]) {
        fails += 1;
        failing = r;
      }
    }
    if (fails === 1) others[failing][bins[failing][i]] += rows[i];
    if (fails) continue;
    kept += rows[i];
    counts.languages[language[i]] += rows[i];
    for (let r = 0; r < rules.length; r += 1) others[r][bins[r][i]] += rows[i];
  }
  rules.forEach((rule, r) => {
    counts.bins[rule.path].others = others[r];
  });
  return Object.assign(counts, { kept });
}

/** All rows of each language. @returns {number[]} */
function languageRows(explorer) {
  const rows = explorer.languages.map(() => 0);
  const table = explorer.joint ?? Object.values(explorer.single)[0];
  table?.rows.forEach((n, i) => {
    rows[table.language[i]] += n;
  });
  return rows;
}
