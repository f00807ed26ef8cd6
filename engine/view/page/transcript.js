/** One row in full: its seeds, its rounds, and the prompts that were sent. */

import { differenceBlock } from "./differences.js";
import { element, textBlock } from "./elements.js";
import { integer, seconds, signed, words } from "./formats.js";
import { card, dataTable, factsList, fateBadge } from "./tables.js";

/** What is known of a prompt, by its certainty. */
const SEALS = {
  sent: "exactly what was sent: the call's key proves it",
  rendered: "rendered again from the run's templates; without the cache nothing proves that it was sent so",
  unknown: "not known: the prompt cannot be rendered from this row",
};

/** @param {any} transcript */
export function transcriptView(transcript) {
  const { entry, example, notes } = transcript;
  return [
    notes.map((/** @type {string} */ note) => element("p", { class: "warning" }, note)),
    verdictCard(transcript),
    seedCard(transcript),
    example && [
      metadataCard(example),
      ...example.iterations.map((/** @type {any} */ round, /** @type {number} */ place) => roundCard(round, example.iterations[place - 1] ?? null, example, place)),
      example.iterations.length ? null : card("Basic instruction", "", textBlock(example.basic_instruction)),
      callsCard(transcript.prompts),
    ],
    element("p", { class: "quiet" }, `id ${entry.id}`),
  ];
}

/** @param {any} transcript */
function verdictCard({ entry, example, detail }) {
  const instruction = example ? (example.iterations.at(-1)?.instruction ?? example.basic_instruction) : "";
  return card(
    entry.kind === "instruction" ? "Instruction" : entry.kind === "seed" ? "Seed that failed" : "Request that gave no instruction",
    "",
    element("div", { class: "verdict" }, [
      fateBadge(entry.fate, words(entry.reason)),
      entry.winner && element("span", { class: `badge ${entry.winner}` }, `${entry.winner} answer is better`),
      entry.gap !== null && element("span", {}, `gap ${signed(entry.gap)}`),
      entry.round ? element("span", { class: "quiet" }, `after round ${entry.round}`) : null,
    ]),
    detail && element("p", {}, detail),
    instruction && textBlock(instruction),
  );
}

/** @param {any} transcript */
function seedCard({ entry, example, seeds, encode }) {
  const ids = example ? example.metadata.seed_ids : entry.kind === "seed" ? [entry.id] : [];
  if (!ids.length) return null;
  return card(
    ids.length > 1 ? "Seeds" : "Seed",
    "",
    ids.map((/** @type {string} */ id) => (id in seeds ? textBlock(seeds[id]) : element("p", { class: "quiet" }, `${id}: no longer in the seed file`))),
    encode.length ? element("details", {}, element("summary", {}, "prompt that asked for the metadata"), messages(encode), element("p", { class: "seal" }, SEALS.rendered)) : null,
  );
}

/** @param {any} example */
function metadataCard({ metadata, rubrics, actions }) {
  if (metadata.origin === "none") return null;
  const count = Math.max(rubrics.length, actions.length);
  const pairs = Array.from({ length: count }, (_, place) => [place + 1, rubrics[place] ?? "", actions[place] ?? ""]);
  return card(
    "Metadata",
    "",
    factsList([["use case", metadata.use_case], ["skills", metadata.skills.join(", ") || "(none)"], ["language", metadata.language], ["works on a given text", metadata.given_text === null || metadata.given_text === undefined ? "" : metadata.given_text ? "yes" : "no"], ["from", metadata.origin]]),
    count ? element("details", {}, element("summary", {}, `${rubrics.length} rubrics, ${actions.length} actions`), dataTable(["", "rubric", "action"], pairs)) : null,
  );
}

// -- rounds ---------------------------------------------------------------------------------------------

/**
 * @param {any} round
 * @param {any} before the round before, or null
 * @param {any} example
 * @param {number} place
 */
function roundCard(round, before, example, place) {
  const isLast = place === example.iterations.length - 1;
  const title = `Round ${round.number}${round.gap === null ? "" : `: gap ${signed(round.gap)}`}`;
  const previous = before ? before.instruction : place === 0 && round.instruction !== example.basic_instruction ? example.basic_instruction : null;
  return card(
    title,
    "",
    round.action !== null && element("p", {}, element("span", { class: "quiet" }, "action: "), round.action),
    previous === null
      ? textBlock(round.instruction)
      : [
          differenceBlock(previous, round.instruction),
          element("details", {}, element("summary", {}, "without the changes"), textBlock(round.instruction)),
        ],
    (round.strong || round.target) && [
      element("h3", {}, "Answers"),
      element("div", { class: "answers" }, [
        answer("strong", round.strong, isLast && example.winner === "strong"),
        answer("target", round.target, isLast && example.winner === "target"),
      ]),
    ],
    judgements("Scores", round.judgements),
    judgements("Scored again", round.confirmation),
  );
}

/**
 * @param {string} role
 * @param {any} written
 * @param {boolean} isBetter
 */
function answer(role, written, isBetter) {
  if (!written) return null;
  const marks = [written.finish_reason === "stop" ? "" : written.finish_reason, written.refuses ? "reads like a refusal" : ""].filter(Boolean);
  return element(
    "div",
    { class: `answer ${role} ${isBetter ? "winner" : ""}` },
    element("h3", {}, role),
    marks.length ? element("p", { class: "warning" }, marks.join(", ")) : null,
    written.reasoning ? element("details", {}, element("summary", {}, "thinking"), textBlock(written.reasoning)) : null,
    textBlock(written.text),
  );
}

/**
 * @param {string} title
 * @param {any[] | null} pair
 */
function judgements(title, pair) {
  if (!pair) return null;
  const line = (/** @type {string} */ name, /** @type {number} */ strong, /** @type {number} */ target) => [name, strong.toFixed(1), target.toFixed(1), signed(strong - target)];
  const rows = pair.flatMap((one, place) => [
    line(place ? "target first" : "strong first", one.strong, one.target),
    ...Object.entries(one.by_judge ?? {}).map(([name, [strong, target]]) => line(`– ${name}`, strong, target)),
  ]);
  const replies = pair.filter((one) => one.text);
  return [
    element("h3", {}, title),
    dataTable(["order", "strong", "target", "lead"], rows, new Set([1, 2, 3])),
    replies.length ? element("details", {}, element("summary", {}, "the judge's words"), replies.map((one) => element("div", { class: "message" }, textBlock(one.text)))) : null,
  ];
}

// -- calls ------------------------------------------------------------------------------------------------

/** @param {any[]} prompts */
function callsCard(prompts) {
  if (!prompts.length) return null;
  return card("Calls, with the prompts sent", "", prompts.map(call));
}

/** @param {any} sent */
function call(sent) {
  const facts = element("span", { class: "call" }, [
    element("b", {}, sent.stage),
    element("span", { class: sent.role }, sent.role),
    element("span", { class: "quiet" }, `${integer(sent.prompt_tokens)} + ${integer(sent.completion_tokens)} tokens`),
    sent.seconds ? element("span", { class: "quiet" }, seconds(sent.seconds)) : null,
    sent.cached && element("span", { class: "quiet" }, "from the cache"),
    sent.attempts > 1 && element("span", { class: "filtered" }, `${sent.attempts} attempts`),
  ]);
  return element(
    "details",
    {},
    element("summary", {}, facts),
    element("p", { class: `seal ${sent.certainty}` }, /** @type {any} */ (SEALS)[sent.certainty]),
    messages(sent.messages),
    sent.reply === null ? null : [element("h3", {}, "reply"), element("div", { class: "message" }, textBlock(sent.reply))],
    element("p", { class: "quiet mono" }, `key ${sent.key}`),
  );
}

/** @param {[string, string][]} list */
function messages(list) {
  return list.map(([role, content]) => [element("h3", {}, role), element("div", { class: "message" }, textBlock(content))]);
}
