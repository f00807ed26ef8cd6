/** The page: which run and which tab are shown, the keys, and what is new. */

import { forgetCharts } from "./charts.js";
import { comparisonTab } from "./comparison.js";
import { costTab } from "./costs.js";
import { announce, element, fill } from "./elements.js";
import { figuresTab } from "./figures.js";
import { RowsTab } from "./listing.js";
import { openSource } from "./source.js";

const POLLING = 2000;
const TABS = { rows: "Rows", figures: "Figures", cost: "Cost and time", compare: "Compare" };
const KEYS = [
  ["j k ↓ ↑", "next and previous row"],
  ["→ ← n p", "next and previous page"],
  ["/", "search"],
  ["Esc", "leave the search; back to the list"],
  ["1 2 3 4", "rows, figures, cost and time, compare"],
  ["r", "show what is new"],
  ["?", "these keys"],
];

class PageView {
  constructor() {
    this.source = openSource();
    /** @type {any[]} */
    this.states = [];
    /** @type {any[]} */
    this.figures = [];
    this.tab = "rows";
    this.run = 0;
    /** @type {number | null} */
    this.key = null;
    /** @type {RowsTab | null} */
    this.rows = null;
    this.top = /** @type {HTMLElement} */ (document.getElementById("top"));
    this.main = /** @type {HTMLElement} */ (document.getElementById("main"));
    this.help = element("dialog", {}, element("h2", {}, "Keys"), element("table", {}, KEYS.map(([keys, what]) => element("tr", {}, element("td", {}, keys.split(" ").map((one) => [element("kbd", {}, one), " "])), element("td", {}, what)))), element("form", { method: "dialog" }, element("button", {}, "Close")));
    document.body.append(this.help);
  }

  async start() {
    this.readAddress();
    addEventListener("hashchange", () => this.addressChanged());
    addEventListener("keydown", (event) => this.pressed(event));
    await this.poll();
  }

  // -- where we are ---------------------------------------------------------------------------------

  /** The address holds run, tab and row: #RUN/TAB/KEY. */
  readAddress() {
    const [run, tab, key] = location.hash.slice(1).split("/");
    this.run = Math.max(0, Number.parseInt(run, 10) || 0);
    this.tab = tab in TABS ? tab : "rows";
    this.key = key ? Number(key) : null;
  }

  address() {
    return `#${this.run}/${this.tab}${this.tab === "rows" && this.key !== null ? `/${this.key}` : ""}`;
  }

  addressChanged() {
    if (location.hash === this.address()) return;
    this.readAddress();
    this.show();
  }

  /**
   * @param {string} tab
   * @param {number} [run]
   */
  go(tab, run = this.run) {
    if (tab === "compare" && this.states.length < 2) return;
    if (run !== this.run) {
      this.rows = null;
      this.key = null;
    }
    [this.tab, this.run] = [tab, run];
    history.pushState(null, "", this.address());
    this.show();
  }

  // -- what is new ----------------------------------------------------------------------------------

  async poll() {
    try {
      const before = this.states;
      this.states = await this.source.states();
      this.run = Math.min(this.run, this.states.length - 1);
      const wasShown = before.length > 0;
      await this.renewFigures(before);
      if (!wasShown || this.needsContents) this.show();
      else this.update(before);
    } catch (error) {
      announce(`The server does not answer: ${/** @type {Error} */ (error).message}`);
      if (!this.states.length) fill(this.main, element("p", { class: "quiet" }, /** @type {Error} */ (error).message));
    }
    if (this.source.isLive) setTimeout(() => this.poll(), POLLING);
  }

  /** @param {any[]} before */
  async renewFigures(before) {
    await Promise.all(this.states.map(async (state, run) => {
      if (state.measured && state.measured !== before[run]?.measured) this.figures[run] = await this.source.figures(run);
    }));
  }

  /** @param {any[]} before */
  update(before) {
    this.showTop();
    const state = this.states[this.run];
    if (this.tab === "rows") this.rows?.update(state);
    else if (this.states.some((one, run) => one.measured !== before[run]?.measured)) this.show();
  }

  // -- drawing --------------------------------------------------------------------------------------

  show() {
    forgetCharts();
    const state = this.states[this.run];
    document.title = `${state.name} · codeclm`;
    this.showTop();
    this.needsContents = false;
    if (this.tab === "rows") return this.showRows(state);
    const figures = this.figures[this.run];
    const scroll = this.main.scrollTop;
    if (this.tab === "compare") fill(this.main, comparisonTab(this.source, this.states, this.figures));
    else if (!figures) this.showWaiting(state, "Computing the figures");
    else fill(this.main, this.tab === "figures" ? figuresTab(this.source, state, figures) : costTab(this.source, figures));
    this.main.scrollTop = scroll;
  }

  /** @param {any} state */
  showRows(state) {
    if (!state.contents) return this.showWaiting(state, "Reading the rows");
    if (!this.rows) {
      this.rows = new RowsTab(this.source, this.run, state, (key) => this.rememberRow(key));
      this.rows.load();
    }
    if (this.rows.node.parentElement !== this.main) fill(this.main, this.rows.node);
    this.rows.update(state);
    if (this.key !== null && this.rows.shownKey !== this.key) this.rows.show(this.key);
    if (this.key === null) this.rows.node.classList.remove("open");
  }

  /** @param {number | null} key */
  rememberRow(key) {
    this.key = key;
    history.replaceState(null, "", this.address());
  }

  /**
   * @param {any} state
   * @param {string} what
   */
  showWaiting(state, what) {
    this.needsContents = true;
    fill(this.main, element("div", { class: "figures" }, element("p", { class: "wide" }, state.problem || `${what} …`)));
  }

  showTop() {
    const state = this.states[this.run];
    const ending = this.figures[this.run]?.summary.ending.replaceAll("_", " ") ?? "";
    const status = state.problem || (state.is_working ? "working" : ending === "working" ? "" : ending);
    const tabs = Object.entries(TABS).filter(([name]) => name !== "compare" || this.states.length > 1);
    const choice = this.states.length > 1
      ? element("select", { "aria-label": "run", onchange: (/** @type {any} */ event) => this.go(this.tab, Number(event.target.value)) }, this.states.map((one, run) => element("option", { value: run, selected: run === this.run }, one.name)))
      : element("h1", {}, state.name);
    if (this.top.contains(document.activeElement) && document.activeElement?.tagName === "SELECT") return;
    const focused = this.top.contains(document.activeElement) ? document.activeElement?.textContent : null;
    fill(
      this.top,
      element("div", { class: "title" }, choice, status && element("span", { class: `badge ${state.problem ? "failed" : state.is_working ? "kept working" : "quiet"}` }, status), this.source.isLive ? null : element("span", { class: "quiet" }, "report")),
      element("nav", { "aria-label": "views" }, tabs.map(([name, title]) => element("button", { "aria-current": name === this.tab ? "page" : null, onclick: () => this.go(name) }, title))),
      element("button", { class: "keys", "aria-label": "keys", title: "keys (?)", onclick: () => this.help.showModal() }, "?"),
    );
    if (focused) [...this.top.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
  }

  // -- keys -----------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.help.open) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
    if (event.key === "Escape") return this.escaped(target, isTyping);
    if (isTyping) return;
    const action = this.actions()[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** @returns {Record<string, () => any>} */
  actions() {
    const tabs = Object.fromEntries(Object.keys(TABS).map((name, place) => [String(place + 1), () => this.go(name)]));
    const general = { ...tabs, "?": () => this.help.showModal(), "/": () => this.search() };
    const { rows } = this;
    if (this.tab !== "rows" || !rows) return general;
    const [down, up, on, back] = [() => rows.move(1), () => rows.move(-1), () => rows.turn(1), () => rows.turn(-1)];
    return { ...general, j: down, ArrowDown: down, k: up, ArrowUp: up, n: on, ArrowRight: on, p: back, ArrowLeft: back, r: () => rows.renew() };
  }

  search() {
    if (this.tab !== "rows") this.go("rows");
    this.rows?.node.classList.remove("open");
    this.rows?.search.focus();
    this.rows?.search.select();
  }

  /**
   * @param {HTMLElement} target
   * @param {boolean} isTyping
   */
  escaped(target, isTyping) {
    if (isTyping) target.blur();
    else if (this.tab === "rows") this.rows?.close();
  }
}

new PageView().start();
