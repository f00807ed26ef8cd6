/** Where the page's data come from: the server, or the file itself. */

/**
 * @typedef {{name: string, path: string, is_working: boolean, listed: number, measured: number,
 *   problem: string, contents: any}} RunState
 * @typedef {{entries: any[], after: number | null, read: number}} EntryPage
 */

/** Asks the server that the page came from. */
class ServedRuns {
  isLive = true;

  constructor() {
    this.token = new URLSearchParams(location.search).get("token") ?? "";
  }

  /**
   * @param {string} path
   * @returns {Promise<Response>}
   */
  async ask(path) {
    const response = await fetch(path, { headers: { Authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
    return response;
  }

  /** @returns {Promise<RunState[]>} */
  async states() {
    return (await this.ask("api/runs")).json();
  }

  /** @param {number} run */
  async figures(run) {
    return (await this.ask(`api/runs/${run}/figures`)).json();
  }

  /**
   * @param {number} run
   * @param {Record<string, any>} filters
   * @param {number} after
   * @param {number} size
   * @returns {Promise<EntryPage | null>}
   */
  async entries(run, filters, after, size) {
    const query = new URLSearchParams({ ...filters, after: String(after), size: String(size) });
    return (await this.ask(`api/runs/${run}/entries?${query}`)).json();
  }

  /**
   * @param {number} run
   * @param {number} key
   */
  async transcript(run, key) {
    return (await this.ask(`api/runs/${run}/entries/${key}`)).json();
  }

  async plotting() {
    return (await this.ask("plotly.js")).text();
  }
}

/** Reads what `codeclm report` put into the file. */
class EmbeddedRuns {
  isLive = false;

  /** @param {any[]} runs */
  constructor(runs) {
    this.runs = runs;
  }

  async states() {
    return this.runs.map((run) => run.state);
  }

  /** @param {number} run */
  async figures(run) {
    return this.runs[run].overview;
  }

  /**
   * @param {number} run
   * @param {Record<string, any>} filters
   * @param {number} after
   * @param {number} size
   * @returns {Promise<EntryPage>}
   */
  async entries(run, filters, after, size) {
    const passing = this.runs[run].transcripts.filter((/** @type {any} */ one) => one.entry.key > after && passes(one, filters));
    const entries = passing.slice(0, size).map((/** @type {any} */ one) => one.entry);
    const isLast = passing.length <= size;
    return { entries, after: isLast ? null : entries.at(-1).key, read: entries.length };
  }

  /**
   * @param {number} run
   * @param {number} key
   */
  async transcript(run, key) {
    return this.runs[run].transcripts.find((/** @type {any} */ one) => one.entry.key === key) ?? null;
  }

  async plotting() {
    const encoded = document.getElementById("plotly")?.textContent;
    if (!encoded) throw new Error("No chart: plotly was not installed where this report was written.");
    const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
}

/**
 * Whether a transcript passes the filters; the server does the same in SQL.
 * @param {any} transcript
 * @param {Record<string, any>} filters
 */
function passes(transcript, filters) {
  const { entry, example } = transcript;
  for (const name of ["fate", "reason", "winner", "use_case", "stage"]) {
    if (filters[name] !== undefined && entry[name] !== filters[name]) return false;
  }
  if (filters.round !== undefined && entry.round !== Number(filters.round)) return false;
  if (filters.min_gap !== undefined && !(entry.gap !== null && entry.gap >= Number(filters.min_gap))) return false;
  if (filters.max_gap !== undefined && !(entry.gap !== null && entry.gap <= Number(filters.max_gap))) return false;
  if (!filters.search) return true;
  const needle = filters.search.toLowerCase();
  const texts = [entry.id, transcript.detail, entry.use_case];
  if (example) {
    texts.push(example.basic_instruction, ...example.metadata.skills);
    for (const round of example.iterations) texts.push(round.instruction, round.strong?.text ?? "", round.target?.text ?? "");
  }
  return texts.some((text) => text.toLowerCase().includes(needle));
}

/** The page's source. */
export function openSource() {
  const data = document.getElementById("data")?.textContent;
  return data ? new EmbeddedRuns(JSON.parse(data)) : new ServedRuns();
}
