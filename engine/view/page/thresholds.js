/** The θ slider: what each threshold yields, and what a pair costs. */

import { chart, colour } from "./charts.js";
import { element, fill } from "./elements.js";
import { integer, money, percent } from "./formats.js";
import { card, tableBelow, tile } from "./tables.js";

/**
 * @param {any} source
 * @param {any} figures
 */
export function thresholdCard(source, figures) {
  const { thresholds } = figures;
  if (!thresholds) return null;
  const { yields } = thresholds;
  const own = yields.findIndex((/** @type {any} */ one) => one.threshold === thresholds.own);
  const result = element("div", { class: "tiles" });
  const output = element("output", { for: "theta" });
  const note = element("p", { class: "quiet" });
  const slider = element("input", { id: "theta", type: "range", min: 0, max: yields.length - 1, step: 1, value: own, "aria-label": "threshold θ", oninput: () => show(Number(slider.value)) });
  const show = (/** @type {number} */ place) => {
    const row = yields[place];
    output.textContent = `θ = ${row.threshold}`;
    slider.setAttribute("aria-valuetext", `θ = ${row.threshold}`);
    fill(result, [
      tile(percent(row.expected_yield), "pairs per instruction"),
      tile(percent(row.expected_yield * thresholds.unique), "after exact duplicates"),
      tile(row.cost ? row.cost.calls.toFixed(1) : "–", "calls per pair"),
      tile(row.cost && row.cost.money !== null ? money(row.cost.money) : "–", "money per pair"),
    ]);
    fill(note, row.exact
      ? "Counted: the run scored every round that this θ needs."
      : `Estimated: above the run's own θ of ${thresholds.own}, what it selected went no further.`);
  };
  show(own);
  return card(
    "Threshold θ",
    "",
    element("div", { class: "slider" }, slider, output),
    result,
    note,
    chart(source, "Pairs per instruction and cost of a pair by threshold", () => yieldFigure(thresholds)),
    element("p", { class: "quiet" }, `From ${integer(thresholds.scored)} scored instructions${thresholds.share < 1 ? `, a sample of ${percent(thresholds.share)}` : ""}.`),
    tableBelow(
      ["θ", "pairs per instruction", "calls per pair", "money per pair"],
      yields.map((/** @type {any} */ one) => [String(one.threshold), `${one.exact ? "" : "about "}${percent(one.expected_yield)}`, one.cost?.calls.toFixed(1), money(one.cost?.money)]),
      new Set([0, 1, 2, 3]),
    ),
  );
}

/** @param {any} thresholds */
function yieldFigure({ yields, own }) {
  const priced = yields.some((/** @type {any} */ one) => one.cost && one.cost.money);
  const cost = (/** @type {any} */ one) => (one.cost ? (priced ? one.cost.money : one.cost.calls) : null);
  const x = yields.map((/** @type {any} */ one) => one.threshold);
  return {
    traces: [
      { type: "scatter", mode: "lines+markers", name: "pairs per instruction", x, y: yields.map((/** @type {any} */ one) => 100 * one.expected_yield), line: { color: colour("strong") } },
      { type: "scatter", mode: "lines", name: priced ? "money per pair" : "calls per pair", x, y: yields.map(cost), yaxis: "y2", line: { color: colour("target"), dash: "dot" } },
    ],
    layout: {
      xaxis: { title: { text: "θ" }, dtick: 1 },
      yaxis: { ticksuffix: " %", rangemode: "tozero" },
      yaxis2: { overlaying: "y", side: "right", rangemode: "tozero", showgrid: false, fixedrange: true, automargin: true },
      shapes: [{ type: "line", x0: own, x1: own, yref: "paper", y0: 0, y1: 1, line: { color: colour("quiet"), dash: "dot", width: 1 } }],
    },
  };
}
