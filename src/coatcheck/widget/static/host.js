/**
 * The page or app around the widget: what it is told, and what it may ask (MX docs: widget events).
 *
 *     widget -> page   {mx: true, type: "mx/...", metadata: {user_guid, session_guid, ...}}
 *     widget -> app    <scheme>://...?metadata=<JSON>, a navigation that the app intercepts
 *     page -> widget   the same envelope, or it as JSON text
 */

import { pause } from "./wait.js";

/** Between two navigations to the app's scheme: the second would cancel the first. */
const NAVIGATION_GAP_MS = 60;

/** What MX's SDK cannot decode and reports as an error, though MX's documentation names it. */
const UNKNOWN_TO_SDK = new Set(["connect/initialDataReady", "connect/memberConnected/primaryAction"]);

/**
 * @param {object} boot
 * @param {(message: {type: string, payload?: any, metadata?: any}) => void} onMessage what the host says
 */
export function createHost(boot, onMessage) {
  const whose = { user_guid: boot.user_guid, session_guid: boot.session_guid };
  const scheme = boot.config.ui_message_webview_url_scheme;
  let hasSdk = false;
  let navigated = Promise.resolve();

  /** @param {string} event without the leading `mx/` */
  function post(event, metadata = {}) {
    if (hasSdk && UNKNOWN_TO_SDK.has(event)) return;
    const told = { ...whose, ...metadata };
    if (boot.config.is_mobile_webview) navigate(event, told);
    else for (const around of surroundings()) tell(around, { mx: true, type: `mx/${event}`, metadata: told });
  }

  function navigate(event, metadata) {
    const url = `${scheme}://${event}?metadata=${encodeURIComponent(JSON.stringify(metadata))}`;
    navigated = navigated.then(() => {
      window.location.href = url;
      return pause(NAVIGATION_GAP_MS);
    });
  }

  function tell(around, message) {
    for (const origin of embeddingOrigins(boot.target_origins)) around.postMessage(message, origin);
  }

  window.addEventListener("message", ({ data, origin }) => {
    if (origin !== window.location.origin && !boot.target_origins.some((entry) => fits(entry, origin))) return;
    const message = read(data);
    if (message?.type === "mx/sdk/info") hasSdk = true;
    else if (message?.type === "ping") post("ping");
    else if (message) onMessage(message);
  });

  return { post };
}

function surroundings() {
  return [window.parent, window.opener].filter((around) => around && around !== window);
}

/**
 * Where messages go: to the page around this one if it is on the list; if no browser says which page that is,
 * to each entry, for the browser delivers to a page of that origin alone.
 */
function embeddingOrigins(allowed) {
  const embedding = window.location.ancestorOrigins?.[0] ?? originOf(document.referrer);
  if (embedding) return allowed.some((entry) => fits(entry, embedding)) ? [embedding] : [];
  return allowed.filter((entry) => !entry.includes("*"));
}

/** @param {string} entry an origin, or one that ends in `:*` for any port */
function fits(entry, origin) {
  if (!entry.endsWith(":*")) return entry === origin;
  const host = entry.slice(0, -2);
  return origin === host || (origin.startsWith(`${host}:`) && /^\d+$/.test(origin.slice(host.length + 1)));
}

function originOf(url) {
  return url ? new URL(url).origin : null;
}

function read(data) {
  if (typeof data !== "string") return data;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
