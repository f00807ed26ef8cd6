/** The tab of rows: filters, a page of entries, and the selected one in full. */

import { announce, element, fill } from "./elements.js";
import { integer, signed, words } from "./formats.js";
import { fateBadge } from "./tables.js";
import { transcriptView } from "./transcript.js";

const PAGE_SIZE = 50;

/** What a select of the filters is called. */
const FILTERS = { fate: "any fate", reason: "any reason", winner: "any winner", round: "any round", use_case: "any use case", stage: "any stage" };

export class RowsTab {
  /**
   * @param {any} source
   * @param {number} run
   * @param {any} state
   * @param {(key: number | null) => void} onChoice called with the key of the entry that is shown
   */
  constructor(source, run, state, onChoice) {
    this.source = source;
    this.run = run;
    this.state = state;
    this.onChoice = onChoice;
    this.listed = state.listed;
    /** @type {any[]} */
    this.entries = [];
    /** @type {number[]} keys behind which the pages so far begin */
    this.starts = [-1];
    /** @type {number | null} */
    this.after = null;
    this.selected = -1;
    this.loads = 0;
    this.search = element("input", { type: "search", maxlength: 2000, placeholder: "Search instructions and answers", "aria-label": "search", oninput: () => this.filterSoon() });
    this.selects = Object.fromEntries(Object.entries(FILTERS).map(([name, title]) => [name, element("select", { "aria-label": title, onchange: () => this.filter() })]));
    this.least = element("input", { type: "number", step: 0.5, placeholder: "gap ≥", "aria-label": "least gap", oninput: () => this.filterSoon() });
    this.most = element("input", { type: "number", step: 0.5, placeholder: "gap ≤", "aria-label": "greatest gap", oninput: () => this.filterSoon() });
    this.list = element("ol", { role: "listbox", "aria-label": "rows", tabindex: 0, onclick: (/** @type {any} */ event) => this.clicked(event) });
    this.pageNote = element("span", { class: "quiet" });
    this.previous = element("button", { onclick: () => this.turn(-1) }, "← Back");
    this.next = element("button", { onclick: () => this.turn(1) }, "Next →");
    this.renewal = element("button", { class: "hidden", onclick: () => this.renew() });
    this.detail = element("div", { class: "detail", tabindex: -1 });
    this.node = element(
      "div",
      { class: "rows" },
      element("div", { class: "filters", role: "search" }, this.search, Object.values(this.selects), this.least, this.most, element("button", { onclick: () => this.clear() }, "Clear"), this.renewal),
      element("div", { class: "list" }, this.list, element("div", { class: "pager" }, this.previous, this.pageNote, this.next)),
      this.detail,
    );
    this.fillChoices();
    this.showHint();
  }

  // -- filters --------------------------------------------------------------------------------------

  fillChoices() {
    const { choices } = this.state.contents;
    for (const [name, title] of Object.entries(FILTERS)) {
      const select = this.selects[name];
      const before = select.value;
      const values = Object.entries(choices[name]); // rounds come in order, as integer keys do
      fill(select, element("option", { value: "" }, title), values.map(([value, count]) => element("option", { value }, `${name === "round" ? "round " : ""}${words(value)} (${integer(/** @type {number} */ (count))})`)));
      // The value itself, not its escaped form, is what the server is asked for.
      [...select.options].slice(1).forEach((option, place) => (option.value = values[place][0]));
      select.value = before;
      select.classList.toggle("hidden", !values.length);
    }
  }

  filters() {
    /** @type {Record<string, any>} */
    const used = {};
    for (const [name, select] of Object.entries(this.selects)) if (select.value) used[name] = select.value;
    if (this.search.value.trim()) used.search = this.search.value.trim();
    if (this.least.value !== "") used.min_gap = this.least.value;
    if (this.most.value !== "") used.max_gap = this.most.value;
    return used;
  }

  filterSoon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.filter(), 250);
  }

  filter() {
    this.starts = [-1];
    return this.load();
  }

  clear() {
    this.search.value = this.least.value = this.most.value = "";
    Object.values(this.selects).forEach((select) => (select.value = ""));
    return this.filter();
  }

  // -- pages ----------------------------------------------------------------------------------------

  /** Load the page that begins behind the last of `starts`; a long search goes on until it is full. */
  async load() {
    const load = ++this.loads;
    const filters = this.filters();
    /** @type {any[]} */
    let entries = [];
    let [after, read] = [/** @type {number | null} */ (this.starts.at(-1)), 0];
    this.pageNote.textContent = "…";
    try {
      do {
        const page = await this.source.entries(this.run, filters, after, PAGE_SIZE - entries.length);
        const isStale = load !== this.loads || (read > 0 && !this.node.isConnected);
        if (isStale || page === null) return;
        entries = entries.concat(page.entries);
        after = page.after;
        read += page.read;
        if (filters.search && after !== null && entries.length < PAGE_SIZE) this.showPage(entries, after, `${integer(read)} searched …`);
      } while (filters.search && after !== null && entries.length < PAGE_SIZE);
    } catch (error) {
      return announce(/** @type {Error} */ (error).message);
    }
    this.showPage(entries, after, "");
  }

  /**
   * @param {any[]} entries
   * @param {number | null} after
   * @param {string} note
   */
  showPage(entries, after, note) {
    this.entries = entries;
    this.after = after;
    this.selected = entries.findIndex((entry) => entry.key === this.shownKey);
    fill(this.list, entries.map((entry, place) => this.line(entry, place)));
    const number = this.starts.length;
    const what = entries.length ? `page ${number}, ${entries.length} rows` : "no row matches";
    const { entries: all } = this.state.contents;
    const embedded = this.source.isLive ? "" : this.embeddedNote(all);
    this.pageNote.textContent = note || `${what}${embedded}`;
    this.previous.disabled = number === 1;
    this.next.disabled = after === null;
    this.next.classList.toggle("hidden", number === 1 && after === null);
    this.previous.classList.toggle("hidden", number === 1 && after === null);
  }

  /** @param {number} all */
  embeddedNote(all) {
    const count = this.source.runs[this.run].transcripts.length;
    return count < all ? `; this file holds ${integer(count)} of ${integer(all)}, spread evenly` : "";
  }

  /**
   * @param {any} entry
   * @param {number} place
   */
  line(entry, place) {
    return element(
      "li",
      { role: "option", id: `row-${place}`, "data-place": place, "aria-selected": place === this.selected ? "true" : "false" },
      element("div", { class: "facts" }, [
        fateBadge(entry.fate, words(entry.reason)),
        entry.winner && element("span", { class: entry.winner }, `${entry.winner} better`),
        entry.gap !== null && element("span", {}, `gap ${signed(entry.gap)}`),
        entry.round ? element("span", {}, `round ${entry.round}`) : null,
        entry.kind !== "instruction" && element("span", {}, entry.kind),
        entry.stage && element("span", {}, `in ${entry.stage}`),
        entry.use_case && element("span", {}, entry.use_case),
      ]),
      element("div", { class: "excerpt", dir: "auto" }, entry.text || "(nothing recorded)"),
    );
  }

  /** @param {number} step */
  turn(step) {
    if (step > 0 && this.after !== null) this.starts.push(this.after);
    else if (step < 0 && this.starts.length > 1) this.starts.pop();
    else return;
    this.list.parentElement.scrollTop = 0;
    return this.load();
  }

  // -- one entry --------------------------------------------------------------------------------------

  /** @param {any} event */
  clicked(event) {
    const line = event.target.closest("[data-place]");
    if (line) this.select(Number(line.dataset.place));
  }

  /**
   * Select and show an entry of the page.
   * @param {number} place
   */
  select(place) {
    if (place < 0 || place >= this.entries.length) return;
    this.selected = place;
    [...this.list.children].forEach((line, number) => line.setAttribute("aria-selected", number === place ? "true" : "false"));
    this.list.setAttribute("aria-activedescendant", `row-${place}`);
    this.list.children[place].scrollIntoView({ block: "nearest" });
    return this.show(this.entries[place].key);
  }

  /** @param {number} step */
  async move(step) {
    const place = this.selected + step;
    if (place >= this.entries.length && this.after !== null) {
      await this.turn(1);
      return this.select(0);
    }
    if (place < 0 && this.starts.length > 1) {
      await this.turn(-1);
      return this.select(this.entries.length - 1);
    }
    return this.select(place);
  }

  /** @param {number} key */
  async show(key) {
    this.shownKey = key;
    this.onChoice(key);
    try {
      const transcript = await this.source.transcript(this.run, key);
      if (this.shownKey !== key) return;
      const back = element("button", { class: "back", onclick: () => this.close() }, "← All rows");
      if (transcript === null) fill(this.detail, back, element("p", {}, "This row is not in the file."));
      else fill(this.detail, back, transcriptView(transcript));
      this.detail.scrollTop = 0;
      this.node.classList.add("open");
    } catch (error) {
      announce(/** @type {Error} */ (error).message);
    }
  }

  close() {
    this.node.classList.remove("open");
    this.onChoice(null);
    this.list.focus();
  }

  showHint() {
    fill(this.detail, element("p", { class: "quiet" }, "Choose a row to see all of it: ", element("kbd", {}, "j"), " ", element("kbd", {}, "k"), " or the arrow keys; ", element("kbd", {}, "?"), " lists all keys."));
  }

  // -- a run that works -------------------------------------------------------------------------------

  /** @param {any} state */
  update(state) {
    this.state = state;
    if (state.listed === this.listed) return;
    this.renewal.textContent = `${integer(state.contents.entries)} rows now: show (r)`;
    this.renewal.classList.remove("hidden");
  }

  renew() {
    this.listed = this.state.listed;
    this.renewal.classList.add("hidden");
    this.fillChoices();
    return this.load();
  }
}
