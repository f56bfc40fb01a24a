"use strict";

// A live part of a page: its socket sends it as HTML whenever something changed. Focus stays where it is.
document.addEventListener("DOMContentLoaded", () => {
  const part = document.querySelector("[data-nr-live]");
  if (!part) return;
  const state = document.querySelector("[data-nr-live-state]");
  const SIGNED_OUT = 4401, FORBIDDEN = 4403;
  let failures = 0;

  function address() {
    const url = new URL(part.dataset.nrLive, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("language", document.documentElement.lang);
    return url;
  }

  function tell(live) {
    state.textContent = live ? state.dataset.on : state.dataset.off;
    state.dataset.nrLiveState = live ? "on" : "off";
  }

  function connect() {
    const socket = new WebSocket(address());
    socket.addEventListener("message", (event) => {
      failures = 0;
      tell(true);
      Idiomorph.morph(part, event.data, { morphStyle: "innerHTML" });
    });
    socket.addEventListener("close", (event) => {
      tell(false);
      // The sign-in page, or a page that says what is missing.
      if (event.code === SIGNED_OUT) location.reload();
      else if (event.code !== FORBIDDEN) setTimeout(connect, Math.min(1000 * 2 ** failures++, 15000));
    });
  }

  connect();
});
