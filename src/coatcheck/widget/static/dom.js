/**
 * Builds elements without parsing HTML, so that text from any source stays text.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `on…` is a listener, `true` an empty attribute; false, null and
 *   undefined leave it out.
 * @param {...(Child | Child[])} children
 * @returns {any} the element
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== false && child != null));
  return element;
}

let lastId = 0;

/** An id that is unique on the page, for labels and descriptions. */
export function uniqueId(name) {
  lastId += 1;
  return `${name}-${lastId}`;
}
