/** The figures of a run: fates, gaps, lengths, coverage, the judge, cost and time. */

import { chart, colour, label } from "./charts.js";
import { element } from "./elements.js";
import { integer, money, percent, seconds, signed, words } from "./formats.js";
import { card, dataTable, factsList, tableBelow, tile } from "./tables.js";
import { thresholdCard } from "./thresholds.js";

/**
 * The tab of what the run made.
 * @param {any} source
 * @param {any} state
 * @param {any} figures
 */
export function figuresTab(source, state, figures) {
  return element("div", { class: "figures" }, [
    tiles(figures),
    element("div", { class: "stack" }, runCard(state, figures), roundsCard(figures)),
    fatesCard(source, state.contents, figures),
    thresholdCard(source, figures),
    gapCard(source, figures),
    element("div", { class: "stack" }, judgeCard(figures), coverageCard(figures)),
    lengthsCard(source, figures),
    ...Object.entries(figures.values).map(([name, values]) => valuesCard(source, name, /** @type {any[]} */ (values))),
    overlapsCard(figures.summary.overlaps),
  ]);
}

/** @param {any} figures */
export function tiles(figures) {
  const { summary } = figures;
  const time = figures.sessions.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.seconds, 0);
  return element("div", { class: "tiles" }, [
    tile(summary.target_rows ? `${integer(summary.rows)} of ${integer(summary.target_rows)}` : summary.rows, "rows"),
    tile(summary.instructions.input, "instructions"),
    tile(summary.seeds.input, "seeds"),
    tile(summary.calls_in_all, "calls paid, all sessions"),
    summary.money_in_all === null ? null : tile(money(summary.money_in_all), "cost, all sessions"),
    time ? tile(seconds(time), "working time") : null,
  ]);
}

/**
 * @param {any} state
 * @param {any} figures
 */
function runCard(state, figures) {
  const { summary } = figures;
  return card("Run", "", factsList([
    ["state", `${words(summary.ending)}${summary.reason ? `: ${summary.reason}` : ""}`],
    ["folder", state.path],
    ["recipe", `${figures.recipe}: ${figures.recipe_summary}`],
    ...figures.roles.map((/** @type {any} */ role) => [role.role, role.model]),
    ...figures.settings,
    ["started", figures.started && `${figures.started}, with codeclm ${figures.version}`],
  ]));
}

// -- fates ----------------------------------------------------------------------------------------

/**
 * @param {any} source
 * @param {any} contents
 * @param {any} figures
 */
function fatesCard(source, contents, figures) {
  if (!contents || !contents.flows.length) return null;
  const rows = contents.flows.map((/** @type {any[]} */ [kind, round, fate, reason, count]) => [wayName(kind, round), fate, words(reason), count]);
  return card(
    "From seeds to fates",
    "",
    chart(source, "Flow of all entries from their kind over their last round to their fate", () => sankey(contents.flows), "tall"),
    element("p", { class: "quiet" }, `Widths are rows of the listing: ${integer(contents.instructions)} instructions from ${integer(figures.summary.seeds.input)} seeds${contents.entries > contents.instructions ? `, and ${integer(contents.entries - contents.instructions)} failures that left none` : ""}.`),
    tableBelow(["way", "fate", "reason", "entries"], rows),
  );
}

/**
 * @param {string} kind
 * @param {number | null} round
 */
function wayName(kind, round) {
  if (kind === "seed") return "not encoded";
  if (kind === "request") return "nothing written";
  return round ? `round ${round}` : "no round";
}

/** @param {any[][]} flows */
function sankey(flows) {
  /** @type {Map<string, {name: string, colour: string}>} */
  const nodes = new Map();
  /** @type {Map<string, {from: string, to: string, count: number, colour: string}>} */
  const links = new Map();
  const add = (/** @type {string} */ from, /** @type {string} */ to, /** @type {number} */ count, /** @type {string} */ fate) => {
    const key = `${from}\n${to}`;
    const link = links.get(key) ?? { from, to, count: 0, colour: fate ? colour(fate) : colour("quiet") };
    link.count += count;
    links.set(key, link);
  };
  const node = (/** @type {string} */ name, /** @type {string} */ shade) => (nodes.set(name, { name, colour: colour(shade) }), name);
  for (const [kind, round, fate, reason, count] of flows) {
    const way = node(wayName(kind, round), "quiet");
    add(node("seeds", "accent"), way, count, "");
    add(way, node(fate === "kept" ? "kept" : `${fate}: ${words(reason) || "no reason"}`, fate), count, fate);
  }
  const names = [...nodes.keys()];
  const all = [...links.values()];
  const size = (/** @type {string} */ name) => all.reduce((sum, one) => sum + (one.to === name ? one.count : 0), 0);
  return {
    traces: [{
      type: "sankey",
      arrangement: "snap",
      node: { label: names.map((name) => label(name === "seeds" ? name : `${name} (${integer(size(name))})`, 40)), color: [...nodes.values()].map((one) => one.colour), pad: 14, thickness: 14, line: { width: 0 } },
      link: { source: all.map((one) => names.indexOf(one.from)), target: all.map((one) => names.indexOf(one.to)), value: all.map((one) => one.count), color: all.map((one) => translucent(one.colour)) },
    }],
    layout: { margin: { l: 8, r: 8, t: 8, b: 8 } },
  };
}

/** @param {string} hex */
export function translucent(hex) {
  return /^#[0-9a-f]{6}$/i.test(hex) ? `${hex}55` : hex;
}

/**
 * The counts of a histogram by the lower ends of its bins; JSON has them in another order.
 * @param {Record<string, number>} histogram
 * @returns {[number, number][]}
 */
export function inOrder(histogram) {
  return Object.entries(histogram).map(([low, count]) => /** @type {[number, number]} */ ([Number(low), count])).sort((a, b) => a[0] - b[0]);
}

// -- gaps, rounds and the judge ---------------------------------------------------------------------

/**
 * @param {any} source
 * @param {any} figures
 */
function gapCard(source, figures) {
  const entries = inOrder(figures.summary.gaps.histogram);
  if (!entries.length) return null;
  const theta = figures.thresholds?.own;
  return card(
    "Quality gap",
    "",
    chart(source, "Histogram of the quality gap over all scored rounds", () => ({
      traces: [{
        type: "bar",
        x: entries.map(([low]) => low + 0.5),
        y: entries.map(([, count]) => count),
        customdata: entries.map(([low]) => `${signed(low)} to ${signed(low + 1)}`),
        hovertemplate: "gap %{customdata}: %{y:,} rounds<extra></extra>",
        marker: { color: entries.map(([low]) => colour(low >= 0 ? "strong" : "target")) },
      }],
      layout: {
        xaxis: { title: { text: "strong score − target score" }, dtick: 2 },
        yaxis: { title: { text: "rounds" } },
        shapes: theta === undefined ? [] : [-theta, theta].map((x) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colour("quiet"), dash: "dot", width: 1 } })),
      },
    })),
    element("p", { class: "quiet" }, `${integer(figures.summary.gaps.scored_rounds)} scored rounds; ${theta === undefined ? "" : `dotted: θ = ${theta}`}`),
    tableBelow(["gap from", "to", "rounds"], entries.map(([low, count]) => [signed(low), signed(low + 1), count]), new Set([0, 1])),
  );
}

/** @param {any} figures */
function judgeCard(figures) {
  const { judge } = figures.summary.gaps;
  if (!judge) return null;
  return card(
    "Reliability of the judge",
    "",
    figures.judge.map((/** @type {string} */ text) => element("p", { class: "warning" }, text)),
    factsList([
      ["agreement", !judge.is_measured ? "a program: not measured" : judge.correlation === null ? "one order's gaps are all the same" : `its two orders' gaps correlate at ${judge.correlation.toFixed(2)} (${integer(judge.instructions)} instructions)`],
      ["position", judge.is_measured && `another winner in ${percent(judge.flipped)} of rounds when the answers swap places; ${signed(judge.first_lead)} points for being first`],
      ["ties", `${percent(judge.tied)} of ${integer(judge.rulings)} scorings`],
      ["scores", `mean ${judge.mean.toFixed(2)}; most frequent ${judge.most_frequent}, in ${percent(judge.constancy)}`],
    ]),
    figures.panel.map((/** @type {string} */ line) => element("p", {}, line)),
  );
}

/** @param {any} figures */
function roundsCard(figures) {
  const { gaps, by_iteration: rows } = figures.summary;
  const numbers = Object.keys(gaps.scored);
  if (!numbers.length) return null;
  const rate = (/** @type {string} */ number) => (gaps.selection.unfinished ? "" : percent((gaps.selected[number] ?? 0) / gaps.scored[number]));
  const interval = gaps.selection.interval;
  return card(
    "Rounds",
    "",
    dataTable(
      ["round", "scored", "selected", "rate", "rows"],
      numbers.map((number) => [number, gaps.scored[number], gaps.selected[number] ?? 0, rate(number), rows[number] ?? 0]),
      new Set([3]),
    ),
    element("p", { class: "quiet" }, interval
      ? `${integer(gaps.selection.selected)} of ${integer(gaps.selection.scored)} instructions are selected: ${percent(interval.mean)} (95 % interval ${percent(interval.low)} to ${percent(interval.high)})`
      : `between ${percent(gaps.selection.low)} and ${percent(gaps.selection.high)} are selected: ${integer(gaps.selection.unfinished)} are unfinished, and those selected early finish first`),
  );
}

// -- texts and coverage -----------------------------------------------------------------------------

/**
 * @param {any} source
 * @param {any} figures
 */
function lengthsCard(source, figures) {
  const { instructions, strong, target } = figures.lengths;
  if (!instructions.length) return null;
  const all = [["instruction", instructions, "quiet"], ["strong answer", strong, "strong"], ["target answer", target, "target"]];
  const series = /** @type {[string, number[], string][]} */ (all.filter(([, values]) => values.length));
  const middle = (/** @type {number[]} */ values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
  return card(
    "Lengths",
    "",
    chart(source, "Histogram of the lengths of instructions and answers in words", () => ({
      traces: series.map(([name, values, shade]) => ({ type: "histogram", name, x: values, opacity: 0.65, nbinsx: 40, marker: { color: colour(shade) } })),
      layout: { barmode: "overlay", xaxis: { title: { text: "words" } }, yaxis: { title: { text: "texts" } } },
    })),
    element("p", { class: "quiet" }, `median words: ${series.map(([name, values]) => `${name} ${middle(values)}`).join(", ")}. ${sampleNote(figures)}`),
  );
}

/** @param {any} figures */
export function sampleNote(figures) {
  return figures.sampled < figures.instructions
    ? `From a sample of ${integer(figures.sampled)} of ${integer(figures.instructions)} instructions, spread evenly.`
    : `From all ${integer(figures.instructions)} instructions.`;
}

/** @param {any} figures */
function coverageCard(figures) {
  const { coverage } = figures.summary;
  if (!coverage) return null;
  const rows = Object.entries(coverage.distance).map(([name, distance]) => {
    const values = coverage.values[name];
    return [name, /** @type {number} */ (distance).toFixed(2), values ? `${integer(values[0])} of ${integer(values[1])}` : ""];
  });
  return card(
    "Rows against seeds",
    "",
    coverage.with_row === null ? null : element("p", {}, `${integer(coverage.with_row)} of ${integer(coverage.seeds)} seeds have a row.`),
    dataTable(["", "distance", "values with a row"], rows, new Set([1, 2])),
    element("p", { class: "quiet" }, "Distance is total variation: 0 if rows are spread like the seeds, 1 if they have nothing in common."),
  );
}

/**
 * @param {any} source
 * @param {string} name
 * @param {any[]} values
 */
function valuesCard(source, name, values) {
  const frequent = values.filter((one) => one.value).slice(0, 25).reverse();
  if (!frequent.length) return null;
  const [allSeeds, allRows] = [values.reduce((sum, one) => sum + one.seeds, 0) || 1, values.reduce((sum, one) => sum + one.rows, 0) || 1];
  const bars = (/** @type {string} */ title, /** @type {"seeds" | "rows"} */ which, /** @type {number} */ all, /** @type {string} */ shade) => ({
    type: "bar",
    orientation: "h",
    name: title,
    y: frequent.map((one) => label(one.value, 34)),
    x: frequent.map((one) => (100 * one[which]) / all),
    customdata: frequent.map((one) => one[which]),
    hovertemplate: "%{y}: %{customdata:,}<extra></extra>",
    marker: { color: colour(shade) },
  });
  return card(
    name === "skill" ? "Skills" : "Use cases",
    "",
    chart(source, `Shares of the most frequent ${name}s among rows and seeds`, () => ({
      traces: [bars("seeds", "seeds", allSeeds, "faint"), bars("rows", "rows", allRows, "strong")],
      layout: { xaxis: { ticksuffix: " %" }, margin: { l: 10, r: 12, t: 8, b: 30 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "reversed" } },
    }), "long"),
    element("p", { class: "quiet" }, `The ${frequent.length} most frequent.`),
    tableBelow([name, "rows", "seeds"], [...frequent].reverse().map((one) => [one.value, one.rows, one.seeds])),
  );
}

/** @param {Record<string, any>} overlaps */
function overlapsCard(overlaps) {
  const rows = Object.entries(overlaps).map(([name, ids]) => [name, ids.rows.length, ids.dropped.length]);
  return rows.length ? card("Overlap with test sets", "", dataTable(["test set", "rows", "dropped"], rows)) : null;
}
