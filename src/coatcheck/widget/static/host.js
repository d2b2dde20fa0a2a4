/**
 * Messages between the widget and the page or app around it (MX docs: widget events).
 *
 *     widget -> page   {mx: true, type: "mx/...", metadata: {user_guid, session_guid, ...}}
 *     widget -> app    <scheme>://...?metadata=<JSON>, a navigation that the app intercepts
 *     page -> widget   the same envelope, as an object or as JSON text
 */

import { pause } from "./api.js";

/** Between two navigations to the app's scheme, because the second would cancel the first. */
const NAVIGATION_GAP_MS = 60;

/** Events in MX's documentation that MX's SDK cannot decode and reports as errors. */
const UNKNOWN_TO_SDK = new Set(["connect/initialDataReady", "connect/memberConnected/primaryAction"]);

/**
 * @param {object} boot
 * @param {(message: {type: string, payload?: any, metadata?: any}) => void} onMessage called with each message of the host
 */
export function createHost(boot, onMessage) {
  const ids = { user_guid: boot.user_guid, session_guid: boot.session_guid };
  const scheme = boot.config.ui_message_webview_url_scheme;
  let hasSdk = false;
  let navigated = Promise.resolve();

  /** @param {string} event without the leading `mx/` */
  function post(event, metadata = {}) {
    if (hasSdk && UNKNOWN_TO_SDK.has(event)) return;
    const payload = { ...ids, ...metadata };
    if (boot.config.is_mobile_webview) navigate(event, payload);
    else for (const host of hostWindows()) send(host, { mx: true, type: `mx/${event}`, metadata: payload });
  }

  function navigate(event, metadata) {
    const url = `${scheme}://${event}?metadata=${encodeURIComponent(JSON.stringify(metadata))}`;
    navigated = navigated.then(() => {
      window.location.href = url;
      return pause(NAVIGATION_GAP_MS);
    });
  }

  function send(host, message) {
    for (const origin of embeddingOrigins(boot.target_origins)) host.postMessage(message, origin);
  }

  window.addEventListener("message", ({ data, origin }) => {
    if (!isTrusted(origin)) return;
    const message = decode(data);
    if (message?.type === "mx/sdk/info") hasSdk = true;
    else if (message?.type === "ping") post("ping");
    else if (message) onMessage(message);
  });

  /** An app posts into its own web view, and such a message has no origin (React Native's `postMessage`). */
  function isTrusted(origin) {
    if (origin === "" && boot.config.is_mobile_webview) return true;
    return origin === window.location.origin || boot.target_origins.some((entry) => matches(entry, origin));
  }

  return { post };
}

function hostWindows() {
  return [window.parent, window.opener].filter((host) => host && host !== window);
}

/**
 * The origins that messages are posted to: that of the page around this one, if it is on the list. If the browser does
 * not tell which page that is, each entry of the list: the browser delivers a message only to a page of its origin.
 */
function embeddingOrigins(allowed) {
  const embedding = window.location.ancestorOrigins?.[0] ?? originOf(document.referrer);
  if (embedding) return allowed.some((entry) => matches(entry, embedding)) ? [embedding] : [];
  return allowed.filter((entry) => !entry.includes("*"));
}

/** Whether the page stands alone, or every page around it that the browser tells is on the list. */
export function isFramedBy(allowed) {
  if (window.parent === window) return true;
  const around = [...(window.location.ancestorOrigins ?? [originOf(document.referrer)])];
  return around.every((origin) => origin && allowed.some((entry) => matches(entry, origin)));
}

/** @param {string} entry an origin, or one that ends in `:*` for any port */
function matches(entry, origin) {
  if (!entry.endsWith(":*")) return entry === origin;
  const host = entry.slice(0, -2);
  return origin === host || (origin.startsWith(`${host}:`) && /^\d+$/.test(origin.slice(host.length + 1)));
}

function originOf(url) {
  return url ? new URL(url).origin : null;
}

function decode(data) {
  if (typeof data !== "string") return data;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
