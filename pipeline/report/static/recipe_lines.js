// What the explorer found, as a recipe and as a command line would say it.

/** A TOML basic string. @param {string} text @returns {string} */
function tomlString(text) {
  const escaped = text.replace(/["\\\u0000-\u001f\u007f]/g, (c) => {
    if (c === '"' || c === "\\") return `\\${c}`;
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

/** A TOML value. @param {string|number|boolean} value @returns {string} */
function tomlValue(value) {
  if (typeof value === "string") return tomlString(value);
  // TOML's integers end at 64 bits; a number beyond them is a float.
  if (Number.isInteger(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    const text = String(value);
    return text.includes("e") ? text : `${text}.0`;
  }
  return String(value);
}

/** A key of a table. @param {string} name @returns {string} */
function tomlKey(name) {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : tomlString(name);
}

/**
 * The condition that a setting stands for.
 * @param {Object} rule of an explorer
 * @param {Setting} setting
 * @returns {Array<[string, any]>} keys of the recipe and values; none where any value passes
 */
function conditionOf(rule, setting) {
  if (rule.form === "members") {
    const inValues = new Set(rule.values);
    const unseen = (rule.members ?? []).filter((member) => !inValues.has(member));
    const named = rule.values.filter((_, i) => setting.passes[i] !== rule.exclude);
    const members = [...named, ...unseen];
    return members.length ? [[rule.exclude ? "not_in" : "in", members]] : [];
  }
  const keys = [];
  if (setting.lower > 0) {
    const [value, side] = rule.cuts[setting.lower - 1];
    keys.push([side ? "above" : "min", value]);
  }
  if (setting.upper <= rule.cuts.length) {
    const [value, side] = rule.cuts[setting.upper - 1];
    keys.push([side ? "max" : "below", value]);
  }
  return keys;
}

/** A rule as TOML has it: a table, or SQL where only "there is a value" is left. */
function tomlRule(rule, setting) {
  const condition = conditionOf(rule, setting);
  if (!condition.length) return tomlString(`(${rule.expression}) IS NOT NULL`);
  const parts = condition.map(([key, value]) => {
    const text = Array.isArray(value) ? `[${value.map(tomlValue).join(", ")}]` : tomlValue(value);
    return `${key} = ${text}`;
  });
  return `{ value = ${tomlString(rule.expression ?? rule.name)}, ${parts.join(", ")} }`;
}

/** An argument of a POSIX shell. */
function shellQuote(text) {
  return /^[A-Za-z0-9_.,:=+/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** `--set` for a rule: only what changed where the keys stay, else the rule as a whole. */
function setLines(rule, setting) {
  const before = conditionOf(rule, recipeSetting(rule));
  const after = conditionOf(rule, setting);
  const sameKeys =
    rule.form === "range" &&
    String(before.map(([key]) => key)) === String(after.map(([key]) => key));
  if (!sameKeys) return [`--set ${shellQuote(`${rule.path}=${tomlRule(rule, setting)}`)}`];
  return after
    .filter(([, value], i) => value !== before[i][1])
    .map(([key, value]) => `--set ${shellQuote(`${rule.path}.${key}=${tomlValue(value)}`)}`);
}

/**
 * The lines to copy.
 * @param {Object} explorer
 * @param {Object<string, Setting>} settings of the rules that were moved, by path
 * @returns {{toml: string, set: string}} empty where nothing differs from the recipe
 */
function recipeLines(explorer, settings) {
  const moved = explorer.rules.filter((rule) => isMoved(rule, settings[rule.path]));
  if (!moved.length) return { toml: "", set: "" };
  const table = explorer.gate.split(".").map(tomlKey).join(".");
  const lines = moved.map(
    (rule) => `${tomlKey(rule.name)} = ${tomlRule(rule, settings[rule.path])}`,
  );
  return {
    toml: `[${table}]\n${lines.join("\n")}\n`,
    set: moved.flatMap((rule) => setLines(rule, settings[rule.path])).join(" \\\n"),
  };
}
