/** Charts by plotly.js, which is loaded when the first one is shown. */

import { element, visible } from "./elements.js";

/** @type {Promise<any> | null} */
let plotlyLoading = null;
const redraws = new Set();

/**
 * @param {{plotting: () => Promise<string>}} source
 * @returns {Promise<any>}
 */
function loadPlotly(source) {
  plotlyLoading ??= source.plotting().then((text) => {
    const script = document.createElement("script");
    script.textContent = text; // the page's policy names its hash
    document.head.append(script);
    const library = /** @type {any} */ (globalThis).Plotly;
    if (!library) throw new Error("plotly could not be started");
    return library;
  });
  return plotlyLoading;
}

/**
 * A colour of the style sheet.
 * @param {string} name
 */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/**
 * The colour of a role; all judges of several have that of the judge.
 * @param {string} role
 */
export function roleColour(role) {
  return colour(role.startsWith("judges.") ? "judge" : role) || colour("quiet");
}

/**
 * A label of a chart. plotly reads some markup in labels: without its brackets there is none.
 * @param {string} text
 * @param {number} [most] characters
 */
export function label(text, most = 60) {
  const short = text.length > most ? `${text.slice(0, most - 1)}…` : text;
  return visible(short).replaceAll("<", "‹").replaceAll(">", "›").replaceAll("&", "＆").replaceAll("%{", "% {").replaceAll("$", "＄");
}

/**
 * A chart that is redraws once it is in the page, and again when the colours change.
 * @param {any} source
 * @param {string} description read by screen readers instead of the chart
 * @param {() => {traces: any[], layout?: any}} figure
 * @param {string} [more] further classes
 */
export function chart(source, description, figure, more = "") {
  const place = element("div", { class: `chart ${more}`, role: "img", "aria-label": description });
  const draw = async () => {
    try {
      const library = await loadPlotly(source);
      if (!place.isConnected) return redraws.delete(draw);
      const { traces, layout = {} } = figure();
      await library.react(place, traces, { ...baseLayout(), ...layout, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis) }, CONFIG);
    } catch (error) {
      place.classList.remove("chart", "tall", "long");
      place.replaceChildren(element("p", { class: "quiet" }, /** @type {Error} */ (error).message));
    }
  };
  redraws.add(draw);
  requestAnimationFrame(draw);
  return place;
}

/** Forget the charts that are no longer shown. */
export function forgetCharts() {
  redraws.clear();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraws.forEach((draw) => draw()));

const CONFIG = { displayModeBar: false, responsive: true, showTips: false };

function baseLayout() {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
    margin: { l: 48, r: 12, t: 28, b: 40 },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
    bargap: 0.12,
  };
}

/** @param {any} [settings] */
function axis(settings = {}) {
  return { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true, fixedrange: true, ...settings };
}
