/** Elements, made so that text from models and data is always text. */

// What could control a terminal or reorder a line: shown escaped, as codeclm's other output does.
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * Escape control characters, direction marks and lone surrogates.
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replaceAll("\r\n", "\n").replace(CONTROL, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Make an element. Children that are strings or numbers become text; null and false are left out.
 * @param {string} tag
 * @param {Record<string, any>} [properties] attributes; `on*` are listeners, `class` is the class
 * @param {...any} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : visible(String(value)));
  }
  fill(node, ...children);
  return node;
}

/**
 * Replace the children of *node*.
 * @param {Element} node
 * @param {...any} children
 */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter(isShown).map(asNode));
}

/** @param {any} child */
function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

/** @param {any} child */
function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(visible(String(child)));
}

/**
 * A block of text as it was written, in its own direction.
 * @param {string} text
 * @param {string} [more] further classes
 */
export function textBlock(text, more = "") {
  return element("div", { class: `text ${more}`, dir: "auto" }, text);
}

/**
 * Say something to everybody, screen readers included; it goes away by itself.
 * @param {string} text
 */
export function announce(text) {
  const place = /** @type {HTMLElement} */ (document.getElementById("announcement"));
  place.textContent = visible(text);
  clearTimeout(announcing);
  announcing = setTimeout(() => (place.textContent = ""), 5000);
}

let announcing = 0;
