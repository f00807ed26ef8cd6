/** Figures as text. */

const INTEGER = new Intl.NumberFormat("en-US");

/** @param {number | null | undefined} value */
export function integer(value) {
  return value === null || value === undefined ? "" : INTEGER.format(value);
}

/** @param {number | null | undefined} value a share from 0 to 1 */
export function percent(value) {
  return value === null || value === undefined ? "" : `${(100 * value).toFixed(1)} %`;
}

/** @param {number | null | undefined} value */
export function money(value) {
  if (value === null || value === undefined) return "";
  return value >= 100 ? value.toLocaleString("en-US", { maximumFractionDigits: 2 }) : value.toFixed(4);
}

/** @param {number | null | undefined} value with its sign */
export function signed(value) {
  if (value === null || value === undefined) return "";
  const text = Number(value.toFixed(2)).toString();
  return value > 0 ? `+${text}` : text.replace("-", "−");
}

/** @param {number | null | undefined} value in seconds */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  if (value < 90) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(value / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number | null} value in seconds since 1970 */
export function clockTime(value) {
  return value === null ? "" : new Date(1000 * value).toLocaleString();
}

/** @param {string} reason */
export function words(reason) {
  return reason.replaceAll("_", " ");
}
