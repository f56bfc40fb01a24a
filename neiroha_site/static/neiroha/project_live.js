"use strict";

// The page's socket: which lines it shows goes out, changed rows and figures come in.
document.addEventListener("DOMContentLoaded", () => {
  const part = document.getElementById("nr-part");
  if (!part) return;
  const SIGNED_OUT = 4401, FORBIDDEN = 4403, LONGEST_WAIT = 15000;
  let socket = null, failures = 0, waiting = 0;

  function address() {
    const url = new URL(part.dataset.nrSocket, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("language", document.documentElement.lang);
    return url;
  }

  function tell(state) {
    const sign = document.getElementById("nr-live");
    sign.dataset.nrLiveState = state;
    sign.textContent = sign.dataset[state];
  }

  // What is on the page, so that its rows come anew, whatever happened before.
  function subscribe() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    const lines = [...document.querySelectorAll("[data-nr-line]")].map((line) => Number(line.dataset.nrLine));
    socket.send(JSON.stringify({ lines, stamp: part.dataset.nrStamp }));
  }

  // Said once at the beginning and at the end of work, not with each figure.
  function announce(before) {
    const news = document.getElementById("nr-news");
    if (!news) return;
    const open = Number(document.getElementById("nr-summary").dataset.nrWaiting);
    if (!before && open) news.textContent = news.dataset.nrBegun;
    if (before && !open) news.textContent = news.dataset.nrDone;
  }

  function take(message) {
    const before = Number(document.getElementById("nr-summary").dataset.nrWaiting);
    for (const [pk, html] of Object.entries(message.rows ?? {})) NrLines.morph(document.getElementById(`nr-line-${pk}`), parsed(html));
    if (message.rows) document.dispatchEvent(new Event("nr-painted"));
    if (message.summary) {
      NrLines.morph(document.getElementById("nr-summary"), parsed(message.summary));
      announce(before);
    }
    for (const [id, html] of Object.entries(message.parts ?? {})) NrLines.morph(document.getElementById(id), parsed(html));
    document.dispatchEvent(new CustomEvent("nr-told", { detail: message }));
    if (message.structure) document.dispatchEvent(new Event("nr-renew"));
  }

  function parsed(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  function connect() {
    clearTimeout(waiting);
    socket = new WebSocket(address());
    socket.addEventListener("open", subscribe);
    socket.addEventListener("message", (event) => {
      failures = 0;
      tell("on");
      take(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      tell(event.code === FORBIDDEN ? "ended" : "off");
      // The sign-in page.
      if (event.code === SIGNED_OUT) location.reload();
      else if (event.code !== FORBIDDEN) waiting = setTimeout(connect, Math.min(1000 * 2 ** failures++, LONGEST_WAIT));
    });
  }

  document.addEventListener("nr-shown", subscribe);
  // A network that is back is tried at once.
  addEventListener("online", () => {
    failures = 0;
    if (socket.readyState === WebSocket.CLOSED) connect();
  });
  connect();
});
