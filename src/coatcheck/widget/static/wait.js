/**
 * Waiting that ends early when there may be news: the user is back on the page, or so is the network.
 */

const NEWS = "coatcheck:news";

/** Tells whoever waits to look now. */
export function hurry() {
  window.dispatchEvent(new Event(NEWS));
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal] whose end is thrown
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const timer = setTimeout(end, milliseconds);
    const once = { signal: over.signal };
    for (const hint of [NEWS, "online", "focus"]) window.addEventListener(hint, end, once);
    document.addEventListener("visibilitychange", end, once);
    signal?.addEventListener("abort", end, once);

    function end() {
      clearTimeout(timer);
      over.abort();
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    }
    if (signal?.aborted) end();
  });
}
