/** Runs side by side. */

import { chart, colour, label } from "./charts.js";
import { element } from "./elements.js";
import { inOrder } from "./figures.js";
import { integer, money, percent } from "./formats.js";
import { card, dataTable } from "./tables.js";

const SHADES = ["strong", "target", "judge", "kept", "failed", "quiet"];

/**
 * @param {any} source
 * @param {any[]} states
 * @param {any[]} figures of entry run; null where they are not computed yet
 */
export function comparisonTab(source, states, figures) {
  const runs = states.map((state, run) => ({ state, figures: figures[run] })).filter((one) => one.figures);
  const names = runs.map((one) => one.state.name);
  const row = (/** @type {string} */ title, /** @type {(figures: any, state: any) => any} */ value) => [title, ...runs.map((one) => value(one.figures, one.state))];
  const reasons = new Set(runs.flatMap((one) => Object.keys(one.figures.summary.instructions.filtered)));
  const failures = new Set(runs.flatMap((one) => Object.keys(one.figures.summary.instructions.failed)));
  const share = (/** @type {number} */ count, /** @type {any} */ one) => `${integer(count)} (${percent(count / Math.max(1, one.summary.instructions.input))})`;
  const rows = [
    row("recipe", (one) => one.recipe),
    ...[...new Set(runs.flatMap((one) => one.figures.roles.map((/** @type {any} */ entry) => entry.role)))].map((role) => row(role, (one) => one.roles.find((/** @type {any} */ entry) => entry.role === role)?.model ?? "–")),
    row("θ", (one) => (one.thresholds ? String(one.thresholds.own) : "–")),
    row("seeds", (one) => one.summary.seeds.input),
    row("instructions", (one) => one.summary.instructions.input),
    row("rows", (one) => one.summary.rows),
    ...[...reasons].map((reason) => row(`filtered: ${reason.replaceAll("_", " ")}`, (one) => share(one.summary.instructions.filtered[reason] ?? 0, one))),
    ...[...failures].map((reason) => row(`failed: ${reason.replaceAll("_", " ")}`, (one) => share(one.summary.instructions.failed[reason] ?? 0, one))),
    row("selected", (one) => (one.summary.gaps.selection.interval ? percent(one.summary.gaps.selection.interval.mean) : "–")),
    row("judge's agreement", (one) => one.summary.gaps.judge?.correlation?.toFixed(2) ?? "–"),
    row("calls paid", (one) => one.summary.calls_in_all),
    row("calls per row", (one) => (one.summary.rows ? (one.summary.calls_in_all / one.summary.rows).toFixed(1) : "–")),
    row("cost", (one) => money(one.summary.money_in_all) || "–"),
    row("seeds with a row", (one) => (one.summary.coverage?.with_row === null || !one.summary.coverage ? "–" : percent(one.summary.coverage.with_row / Math.max(1, one.summary.coverage.seeds)))),
  ];
  const columns = new Set(names.map((_, place) => place + 1));
  return element("div", { class: "figures" }, [
    card("Run against run", "wide", dataTable(["", ...names], rows, columns), runs.length < states.length ? element("p", { class: "quiet" }, "Figures of the other runs are being computed.") : null),
    card("Quality gap", "", chart(source, "Shares of scored rounds by quality gap, for entry run", () => gapLines(runs))),
    card("Yield by θ", "", chart(source, "Pairs per instruction by threshold, for entry run", () => yieldLines(runs))),
    card("Lengths of the strong model's answers", "", chart(source, "Words of the strong model's answers, for entry run", () => lengthBoxes(runs))),
    card("Cost by stage", "", chart(source, "Cost by stage, for entry run", () => costBars(runs))),
  ]);
}

/** @param {any[]} runs */
function gapLines(runs) {
  return {
    traces: runs.map((one, place) => {
      const entries = inOrder(one.figures.summary.gaps.histogram);
      const all = entries.reduce((sum, [, count]) => sum + count, 0) || 1;
      return { type: "scatter", mode: "lines", line: { shape: "hvh", color: shade(place) }, name: label(one.state.name), x: entries.map(([low]) => low + 0.5), y: entries.map(([, count]) => (100 * count) / all) };
    }),
    layout: { xaxis: { title: { text: "strong score − target score" } }, yaxis: { ticksuffix: " %", rangemode: "tozero" } },
  };
}

/** @param {any[]} runs */
function yieldLines(runs) {
  return {
    traces: runs.map((one, place) => {
      const yields = one.figures.thresholds?.yields ?? [];
      return { type: "scatter", mode: "lines", line: { color: shade(place) }, name: label(one.state.name), x: yields.map((/** @type {any} */ entry) => entry.threshold), y: yields.map((/** @type {any} */ entry) => 100 * entry.expected_yield) };
    }),
    layout: { xaxis: { title: { text: "θ" } }, yaxis: { ticksuffix: " %", rangemode: "tozero" } },
  };
}

/** @param {any[]} runs */
function lengthBoxes(runs) {
  return {
    traces: runs.map((one, place) => ({ type: "box", name: label(one.state.name), y: one.figures.lengths.strong, boxpoints: false, marker: { color: shade(place) } })),
    layout: { yaxis: { title: { text: "words" }, rangemode: "tozero" }, showlegend: false },
  };
}

/** @param {any[]} runs */
function costBars(runs) {
  const priced = runs.every((one) => one.figures.summary.money_in_all !== null);
  return {
    traces: runs.map((one, place) => {
      const costs = one.figures.summary.costs;
      return { type: "bar", name: label(one.state.name), x: costs.map((/** @type {any} */ entry) => label(`${entry.role} ${entry.stage}`)), y: costs.map((/** @type {any} */ entry) => (priced ? entry.money : entry.calls)), marker: { color: shade(place) } };
    }),
    layout: { barmode: "group", yaxis: { title: { text: priced ? "cost" : "calls" } } },
  };
}

/** @param {number} place */
function shade(place) {
  return colour(SHADES[place % SHADES.length]);
}
