/**
 * The colour scheme, and the client's accent colour with enough contrast for it (WCAG 2.2, 1.4.3).
 */

/** By scheme: light letters on dark look thinner, so they need more contrast. */
const TEXT_RATIO = { light: 5, dark: 7 };
/** Enough to see the edge of a button; its text has the ratio above. */
const SHAPE_RATIO = 1.25;
const BLACK = [0, 0, 0];
const WHITE = [255, 255, 255];

/**
 * @param {"light" | "dark" | "browser"} setting
 * @param {string | null} accent a hexadecimal colour
 */
export function applyTheme(setting, accent) {
  const isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const scheme = setting === "browser" ? (isDark.matches ? "dark" : "light") : setting;
    document.documentElement.dataset.colorScheme = scheme;
    paint(document.documentElement, accent);
  };
  apply();
  if (setting === "browser") isDark.addEventListener("change", apply);
}

/**
 * How well the accent colour can be read as text in the scheme in use, before it is darkened or lightened for that.
 * @param {string | null} accent
 * @returns {{ratio: number, needed: number} | null} null without a colour
 */
export function readability(accent) {
  const root = document.documentElement;
  const colour = parse(accent);
  return colour && { ratio: contrast(colour, token(root, "--surface")), needed: TEXT_RATIO[root.dataset.colorScheme] };
}

function paint(root, accent) {
  root.removeAttribute("style");
  const surface = token(root, "--surface");
  const colour = parse(accent) ?? token(root, "--accent");
  const shape = contrasting(colour, surface, SHAPE_RATIO);
  root.style.setProperty("--accent", css(shape));
  root.style.setProperty("--accent-text", css(contrasting(colour, surface, TEXT_RATIO[root.dataset.colorScheme])));
  root.style.setProperty("--on-accent", css(contrast(shape, WHITE) >= 4.5 ? WHITE : BLACK));
}

/** The colour, or the nearest shade towards black or white that has the contrast ratio against the background. */
function contrasting(colour, background, ratio) {
  const end = luminance(background) > 0.18 ? BLACK : WHITE;
  let shade = colour;
  for (let share = 0; contrast(shade, background) < ratio && share < 1; share += 0.04) shade = mix(colour, end, share);
  return shade;
}

/** A token as the scheme in use has it. A custom property is not computed; a property that uses it is. */
function token(root, name) {
  root.style.color = `var(${name})`;
  const colour = getComputedStyle(root).color;
  root.style.removeProperty("color");
  return colour.match(/\d+/g).slice(0, 3).map(Number);
}

function parse(text) {
  const digits = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(text?.trim() ?? "")?.[1];
  if (!digits) return null;
  const full = digits.length === 3 ? [...digits].map((digit) => digit + digit).join("") : digits;
  return [0, 2, 4].map((start) => Number.parseInt(full.slice(start, start + 2), 16));
}

function css(colour) {
  return `rgb(${colour.map(Math.round).join(" ")})`;
}

function mix(from, to, share) {
  return from.map((part, index) => part + (to[index] - part) * share);
}

function contrast(one, other) {
  const [lighter, darker] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(colour) {
  const [red, green, blue] = colour.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
