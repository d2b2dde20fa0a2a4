/**
 * The client of the widget's JSON API, and the pauses between its requests. A GET is repeated until it is answered; other
 * requests are sent once.
 */

const BASE = "/md/api";
const CHECK_NOW = "coatcheck:check-now";
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
/** No answer, or a status that is temporary. */
const TEMPORARY = new Set([0, 429, 503]);

export class ApiError extends Error {
  /**
   * @param {number} status 0 without an answer
   * @param {{error?: {type?: string, message?: string}, guid?: string, line?: number, element?: string, columns?: string[]}} body
   * @param {number} [retryAfter] seconds
   */
  constructor(status, body, retryAfter) {
    super(body.error?.message ?? "No answer");
    this.status = status;
    this.type = body.error?.type ?? "";
    /** For a duplicate: the guid of the object that exists already. */
    this.guid = body.guid;
    /** For a file that cannot be read: where, and its columns. */
    this.body = body;
    this.retryAfter = retryAfter;
    /** A server error without our envelope comes from a server that is stopping, or from a proxy. */
    this.isTemporary = TEMPORARY.has(status) || (status >= 500 && !this.type);
  }
}

/**
 * @param {string} token of the session
 * @param {(isOffline: boolean) => void} onConnection called when requests stop being answered, and when they are again
 */
export function createApi(token, onConnection) {
  async function send(method, path, body, signal) {
    const { response, text } = await exchange(BASE + path, {
      method,
      signal,
      cache: "no-store",
      // The session is in the header alone: a request that another site makes has none.
      credentials: "omit",
      referrerPolicy: "no-referrer",
      headers: { "X-Widget-Session": token, ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const answer = parse(text);
    if (!response.ok) throw new ApiError(response.status, answer, Number(response.headers.get("Retry-After")));
    return answer;
  }

  /** @param {AbortSignal} [signal] */
  async function get(path, signal) {
    try {
      return await getWithRetries(path, signal);
    } finally {
      // The server answered. After an abort, another request usually follows at once.
      if (!signal?.aborted) onConnection(false);
    }
  }

  async function getWithRetries(path, signal) {
    for (let failures = 0; ; failures += 1) {
      try {
        return await send("GET", path, undefined, signal);
      } catch (error) {
        if (!(error instanceof ApiError) || !error.isTemporary) throw error;
        onConnection(true);
        const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
        await pause(Math.max(wait, (error.retryAfter || 0) * 1000), signal);
      }
    }
  }

  /**
   * Sends a form with a file. `fetch` does not tell how much has been sent.
   * @param {(share: number) => void} onProgress called with the share that has been sent
   */
  function upload(path, fields, onProgress, signal) {
    const request = new XMLHttpRequest();
    request.open("POST", BASE + path);
    request.setRequestHeader("X-Widget-Session", token);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    return new Promise((resolve, reject) => {
      request.addEventListener("loadend", () => {
        const answer = parse(request.responseText);
        if (request.status >= 200 && request.status < 300) resolve(answer);
        else reject(new ApiError(request.status, answer, Number(request.getResponseHeader("Retry-After"))));
      });
      request.send(fields);
    });
  }

  return {
    get,
    upload,
    post: (path, body = {}, signal) => send("POST", path, body, signal),
    put: (path, body, signal) => send("PUT", path, body, signal),
    delete: (path, signal) => send("DELETE", path, undefined, signal),
  };
}

async function exchange(url, request) {
  try {
    const response = await fetch(url, request);
    return { response, text: await response.text() };
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw new ApiError(0, {});
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// --- pauses ---

/** Ends all pauses. */
export function checkNow() {
  window.dispatchEvent(new Event(CHECK_NOW));
}

/**
 * A pause that ends early when something may have changed: the user returns to the page, or the network is back.
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
