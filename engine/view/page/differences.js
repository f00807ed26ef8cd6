/** The words in which two texts differ. */

import { element } from "./elements.js";

const WORD = /\s+|[\p{L}\p{N}\p{M}_]+|[^\s\p{L}\p{N}\p{M}_]/gu;
const LARGEST_TABLE = 4_000_000;

/**
 * @typedef {{kind: "same" | "inserted" | "deleted", text: string}} Piece
 */

/**
 * Compare *before* and *after* word by word (longest common subsequence).
 * @param {string} before
 * @param {string} after
 * @returns {Piece[]}
 */
export function wordDifference(before, after) {
  const old = before.match(WORD) ?? [];
  const now = after.match(WORD) ?? [];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end++;
  const middle = compareWords(old.slice(start, old.length - end), now.slice(start, now.length - end));
  return joinPieces([
    { kind: "same", text: old.slice(0, start).join("") },
    ...middle,
    { kind: "same", text: end ? old.slice(-end).join("") : "" },
  ]);
}

/**
 * @param {string[]} old
 * @param {string[]} now
 * @returns {Piece[]}
 */
function compareWords(old, now) {
  if ((old.length + 1) * (now.length + 1) > LARGEST_TABLE) {
    return [{ kind: "deleted", text: old.join("") }, { kind: "inserted", text: now.join("") }];
  }
  const width = now.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      lengths[i * width + j] = old[i] === now[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  /** @type {Piece[]} */
  const pieces = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      pieces.push({ kind: "same", text: old[i] });
      i++;
      j++;
    } else if (j >= now.length || (i < old.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      pieces.push({ kind: "deleted", text: old[i++] });
    } else {
      pieces.push({ kind: "inserted", text: now[j++] });
    }
  }
  return pieces;
}

/**
 * Join neighbours of one kind; a space between two changes belongs to both.
 * @param {Piece[]} pieces
 * @returns {Piece[]}
 */
function joinPieces(pieces) {
  /** @type {Piece[]} */
  const joined = [];
  let deleted = "";
  let inserted = "";
  const close = () => {
    if (deleted) joined.push({ kind: "deleted", text: deleted });
    if (inserted) joined.push({ kind: "inserted", text: inserted });
    deleted = inserted = "";
  };
  pieces.forEach((piece, place) => {
    if (!piece.text) return;
    const next = pieces.slice(place + 1).find((one) => one.text);
    const bridges = piece.kind === "same" && !piece.text.trim() && (deleted || inserted) && next && next.kind !== "same";
    if (piece.kind === "deleted" || bridges) deleted += piece.text;
    if (piece.kind === "inserted" || bridges) inserted += piece.text;
    if (piece.kind !== "same" || bridges) return;
    close();
    const last = joined.at(-1);
    if (last && last.kind === "same") last.text += piece.text;
    else joined.push({ ...piece });
  });
  close();
  return joined;
}

/**
 * Show how *after* differs from *before*.
 * @param {string} before
 * @param {string} after
 */
export function differenceBlock(before, after) {
  const tags = { same: "span", inserted: "ins", deleted: "del" };
  const pieces = wordDifference(before, after).map((piece) => element(tags[piece.kind], {}, piece.text));
  return element("div", { class: "text", dir: "auto" }, pieces);
}
