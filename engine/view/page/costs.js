/** What a run took: calls, tokens, money, latency, and where the time went. */

import { chart, colour, label, roleColour } from "./charts.js";
import { element } from "./elements.js";
import { sampleNote, tiles, translucent } from "./figures.js";
import { clockTime, integer, money, seconds, words } from "./formats.js";
import { card, dataTable } from "./tables.js";

/**
 * The tab of what the run took.
 * @param {any} source
 * @param {any} figures
 */
export function costTab(source, figures) {
  return element("div", { class: "figures" }, [
    tiles(figures),
    costCard(source, figures),
    throughputCard(source, figures),
    sessionsCard(figures),
    messagesCard(figures),
  ]);
}

/**
 * @param {any} source
 * @param {any} figures
 */
function costCard(source, figures) {
  const { costs, prices } = figures.summary;
  if (!costs.length) return null;
  const latencies = new Map(figures.activity.latencies.map((/** @type {any} */ one) => [`${one.role}/${one.stage}`, one]));
  const rows = costs.map((/** @type {any} */ one) => {
    const latency = /** @type {any} */ (latencies.get(`${one.role}/${one.stage}`));
    return [one.role, one.stage, one.calls, one.fresh_tokens, one.cached_tokens, one.written_tokens, one.answer_tokens, one.reasoning_tokens, money(one.money), seconds(latency?.median), seconds(latency?.p90), seconds(latency?.p99)];
  });
  const sum = (/** @type {string} */ name) => costs.reduce((/** @type {number} */ all, /** @type {any} */ one) => all + (one[name] ?? 0), 0);
  rows.push(["all", "", sum("calls"), sum("fresh_tokens"), sum("cached_tokens"), sum("written_tokens"), sum("answer_tokens"), sum("reasoning_tokens"), money(figures.summary.money_in_all), "", "", ""]);
  return card(
    "Calls, tokens, money and latency by stage, over all sessions",
    "wide",
    dataTable(["role", "stage", "calls", "fresh", "cached", "written", "answer", "thinking", "cost", "median", "90 %", "99 %"], rows, new Set([8, 9, 10, 11])),
    chart(source, "Cost by stage", () => costFigure(costs)),
    element("p", { class: "quiet" }, [
      Object.keys(prices).length ? `Prices: ${Object.entries(prices).map(([role, from]) => `${role} ${from}`).join(", ")}. ` : "No price is known. ",
      figures.activity.has_cache ? `Latency: of ${integer(figures.activity.answered)} stored replies. ${sampleNote(figures)}` : "No latency: the cache is not on this machine.",
    ]),
  );
}

/** @param {any[]} costs */
function costFigure(costs) {
  const priced = costs.some((one) => one.money);
  const roles = [...new Set(costs.map((one) => one.role))];
  const stages = [...new Set(costs.map((one) => one.stage))];
  const value = (/** @type {string} */ role, /** @type {string} */ stage) => {
    const one = costs.find((cost) => cost.role === role && cost.stage === stage);
    return one ? (priced ? one.money : one.calls) : null;
  };
  return {
    traces: roles.map((role) => ({ type: "bar", name: label(role), x: stages.map((stage) => label(stage)), y: stages.map((stage) => value(role, stage)), marker: { color: roleColour(role) } })),
    layout: { barmode: "stack", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" }, yaxis: { title: { text: priced ? "cost" : "calls" } } },
  };
}

/**
 * @param {any} source
 * @param {any} figures
 */
function throughputCard(source, figures) {
  const { activity, log } = figures;
  const waits = log.waits.map((/** @type {any} */ one) => [clockTime(one.start), one.end === null ? "still waiting" : seconds(one.end - one.start), one.endpoint, one.cause]);
  return card(
    "Throughput",
    "wide",
    activity.rates.length
      ? chart(source, "Replies per minute by role over time; shaded where an endpoint let nothing out", () => throughput(activity, log))
      : element("p", { class: "quiet" }, activity.has_cache ? "No reply of this run was paid for in it: all came from the cache." : "The cache is not on this machine, and the ledger has no times."),
    activity.rates.length ? element("p", { class: "quiet" }, `Replies to the calls that rows record (all but encode), in steps of ${seconds(activity.width)}. ${sampleNote(figures)}`) : null,
    waits.length ? dataTable(["waited from", "for", "endpoint", "why"], waits) : element("p", { class: "quiet" }, "No endpoint kept the run waiting for long."),
  );
}

/**
 * @param {any} activity
 * @param {any} log
 */
function throughput(activity, log) {
  const roles = [...new Set(activity.rates.map((/** @type {any} */ one) => one.role))];
  const date = (/** @type {number} */ time) => new Date(1000 * time);
  const last = Math.max(...activity.rates.map((/** @type {any} */ one) => one.start)) + activity.width;
  return {
    traces: roles.map((role) => {
      const points = activity.rates.filter((/** @type {any} */ one) => one.role === role);
      /** @type {any[]} */
      const [x, y] = [[], []];
      points.forEach((/** @type {any} */ point, /** @type {number} */ place) => {
        if (place && point.start - points[place - 1].start > 1.5 * activity.width) {
          x.push(date(points[place - 1].start + activity.width), date(point.start - activity.width / 2));
          y.push(0, 0);
        }
        x.push(date(point.start + activity.width / 2));
        y.push(point.per_minute);
      });
      return { type: "scatter", mode: "lines+markers", name: role, x, y, line: { color: roleColour(/** @type {string} */ (role)), width: 2 }, marker: { size: 4 }, hovertemplate: "%{y:,.0f} a minute<extra>%{fullData.name}</extra>" };
    }),
    layout: {
      yaxis: { title: { text: "replies a minute" }, rangemode: "tozero" },
      shapes: log.waits.map((/** @type {any} */ one) => ({ type: "rect", x0: date(one.start), x1: date(one.end ?? last), yref: "paper", y0: 0, y1: 1, fillcolor: translucent(colour("failed")), line: { width: 0 }, layer: "below" })),
    },
  };
}

/** @param {any} figures */
function sessionsCard(figures) {
  const rows = figures.sessions.map((/** @type {any} */ one) => [one.name, one.calls, one.tokens, one.reused, seconds(one.seconds)]);
  const ends = figures.log.sessions.map((/** @type {any} */ one) => [clockTime(one.start), clockTime(one.end), one.ending ? words(one.ending) : "no end in the log"]);
  return card(
    "Sessions",
    "wide",
    dataTable(["session", "calls paid", "tokens", "reused", "worked"], rows, new Set([4])),
    ends.length ? element("details", {}, element("summary", {}, "when they worked"), dataTable(["began", "ended", "ending"], ends)) : null,
  );
}

/** @param {any} figures */
function messagesCard(figures) {
  /** @type {Map<string, {last: number, level: string, event: string, detail: string, count: number}>} */
  const groups = new Map();
  for (const { time, level, event, detail } of figures.log.messages) {
    const key = `${event} ${detail}`;
    groups.set(key, { last: time, level, event, detail, count: (groups.get(key)?.count ?? 0) + 1 });
  }
  if (!groups.size) return null;
  const lines = [...groups.values()].reverse().map((one) => element("p", { class: one.level === "warning" ? "warning" : "warning failed" }, [
    element("span", { class: "quiet" }, `${clockTime(one.last)}${one.count > 1 ? `, ${integer(one.count)} times` : ""}: `),
    element("b", {}, one.event),
    ` ${one.detail}`,
  ]));
  return card("Warnings and errors", "wide", lines, figures.log.is_whole ? null : element("p", { class: "quiet" }, "From the end of a long log."));
}
