/**
 * Pauses that end early when something may have changed: the user returns to the page, or the network is back.
 */

const CHECK_NOW = "coatcheck:check-now";

/** Ends all pauses. */
export function checkNow() {
  window.dispatchEvent(new Event(CHECK_NOW));
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal] rejects the promise when it is aborted
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const ended = new AbortController();
    const timer = setTimeout(end, milliseconds);
    const once = { signal: ended.signal };
    for (const hint of [CHECK_NOW, "online", "focus"]) window.addEventListener(hint, end, once);
    document.addEventListener("visibilitychange", end, once);
    signal?.addEventListener("abort", end, once);

    function end() {
      clearTimeout(timer);
      ended.abort();
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
    if (signal?.aborted) end();
  });
}
