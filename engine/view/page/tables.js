/** Tables, tiles and cards. */

import { element } from "./elements.js";
import { integer } from "./formats.js";

/**
 * A table; numbers stand to the right.
 * @param {string[]} header
 * @param {any[][]} rows strings, numbers, elements or null
 * @param {Set<number>} [numeric] columns to align right besides those of numbers
 */
export function dataTable(header, rows, numeric = new Set()) {
  const columns = new Set(numeric);
  rows.forEach((row) => row.forEach((cell, column) => typeof cell === "number" && columns.add(column)));
  const look = (/** @type {number} */ column) => (columns.has(column) ? { class: "number" } : {});
  const cells = (/** @type {any[]} */ row) => row.map((cell, column) => element("td", look(column), typeof cell === "number" ? integer(cell) : cell ?? ""));
  return element(
    "div",
    { class: "scroller" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, header.map((name, column) => element("th", { scope: "col", ...look(column) }, name)))),
      element("tbody", {}, rows.map((row) => element("tr", {}, cells(row)))),
    ),
  );
}

/**
 * What a chart shows, for whoever would rather read it.
 * @param {string[]} header
 * @param {any[][]} rows
 * @param {Set<number>} [numeric]
 */
export function tableBelow(header, rows, numeric = new Set()) {
  return element("details", {}, element("summary", {}, "as a table"), dataTable(header, rows, numeric));
}

/**
 * @param {string} title
 * @param {string} width "", "wide" or "narrow"
 * @param {...any} children
 */
export function card(title, width, ...children) {
  return element("section", { class: `card ${width}` }, element("h2", {}, title), children);
}

/**
 * @param {string | number} value
 * @param {string} label
 */
export function tile(value, label) {
  return element("div", { class: "tile" }, element("b", {}, typeof value === "number" ? integer(value) : value), element("span", {}, label));
}

/**
 * @param {[string, any][]} pairs
 */
export function factsList(pairs) {
  const facts = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false);
  return element("dl", { class: "facts-list" }, facts.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

/**
 * @param {string} fate
 * @param {string} [reason]
 */
export function fateBadge(fate, reason = "") {
  return element("span", { class: `badge ${fate}` }, reason && fate !== "kept" ? `${fate}: ${reason}` : fate);
}
