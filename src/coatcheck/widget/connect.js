/**
 * Loads the Connect widget into a page that was written for MX's loader:
 *
 *     const connect = new MXConnect({ id: "widget", onEvent: (type, payload) => { ... } });
 *     connect.load(url);
 */
(() => {
  "use strict";

  class MXConnect {
    /**
     * @param {object} options
     * @param {string} options.id of the element that the widget fills
     * @param {string} [options.iframeTitle] the name of the frame for screen readers
     * @param {(type: string, payload: object, event: MessageEvent) => void} [options.onEvent] called with each message,
     *   such as "mx/connect/memberConnected", and its metadata
     * @param {(event: Event) => void} [options.onLoad] called when the frame has loaded
     * @param {object} [options.config] ignored: the options of the widget belong to its URL
     * @param {string} [options.targetOrigin] the widget's origin; with "*" or without it, that of the URL
     */
    constructor({ id, iframeTitle = "Connect", onEvent, onLoad, targetOrigin = "*" }) {
      this.options = { id, iframeTitle, onEvent, onLoad, targetOrigin };
      this.receive = this.receive.bind(this);
    }

    /** @param {string} url of the widget; it loads once */
    load(url) {
      const { id, iframeTitle, onLoad, targetOrigin } = this.options;
      const container = document.getElementById(id);
      if (!container) throw new Error(`There is no element with the id "${id}".`);
      const { origin } = new URL(url, window.location.href);
      if (targetOrigin !== "*" && targetOrigin !== origin) throw new Error(`The widget is not at ${targetOrigin}.`);
      this.unload();
      this.origin = origin;
      this.iframe = document.createElement("iframe");
      this.iframe.title = iframeTitle;
      this.iframe.style.cssText = "border: 0; width: 100%; height: 100%; min-height: 550px";
      if (onLoad) this.iframe.addEventListener("load", onLoad);
      window.addEventListener("message", this.receive);
      this.iframe.src = url;
      container.append(this.iframe);
    }

    unload() {
      window.removeEventListener("message", this.receive);
      this.iframe?.remove();
      this.iframe = null;
    }

    /** Asks the widget for an "mx/ping" event. */
    ping() {
      this.send({ type: "ping" });
    }

    /** Asks the widget to go one step back. An "mx/navigation" event tells whether it did. */
    navigateBack() {
      this.send({ mx: true, type: "mx/navigation", payload: { action: "back" } });
    }

    send(message) {
      this.iframe?.contentWindow.postMessage(JSON.stringify(message), this.origin);
    }

    receive(event) {
      // Any window may post messages to this page, also another page of the widget's origin.
      if (event.origin !== this.origin || event.source !== this.iframe.contentWindow || !event.data?.mx) return;
      this.options.onEvent?.(event.data.type, event.data.metadata, event);
    }
  }

  window.MXConnect = MXConnect;
})();
