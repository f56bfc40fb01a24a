"use strict";

// The upload of a recording: piece by piece, each after the one before it is stored, so that it can be paused, and goes
// on where it was after the connection broke or the page was left.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("nr-upload");
  if (!form) return;
  const WAITS = [1000, 2000, 5000, 10000, 30000];
  const says = form.dataset;
  const file = form.querySelector("[type=file]");
  const wrong = form.querySelector("[data-nr-error]");
  const state = form.querySelector("[data-nr-state]");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const buttons = Object.fromEntries([...form.querySelectorAll("[data-nr-do]")].map((one) => [one.dataset.nrDo, one]));
  let upload = null, request = null, waiting = 0;

  class Refused extends Error {}

  function show(...names) {
    const had = form.contains(document.activeElement) && document.activeElement.matches("button");
    for (const [name, button] of Object.entries(buttons)) button.hidden = !names.includes(name);
    if (had) buttons[names[0]].focus();
  }

  function complain(text) {
    wrong.textContent = text;
    wrong.hidden = !text;
  }

  function report(text) {
    const percent = Math.floor((100 * upload.received) / upload.size);
    state.hidden = false;
    state.querySelector("progress").value = percent;
    state.querySelector("[role=status]").textContent = text ? `${percent} % · ${text}` : `${percent} %`;
  }

  function reset() {
    upload = null;
    state.hidden = true;
    file.disabled = false;
    show("send");
  }

  // What the server says of the upload; a refusal is told in its words.
  async function ask(method, address, body) {
    request = new AbortController();
    const headers = { "X-CSRFToken": token };
    const answer = await fetch(address, { method, body, headers, redirect: "manual", signal: request.signal });
    if (answer.type === "opaqueredirect" || answer.status === 403 || answer.status === 404) throw new Refused(says.nrFailed);
    // Another window of the same person, or a piece that was stored although its answer never came.
    if (answer.status === 409) return { resync: true };
    // Behind a proxy, its own failures pass.
    if ([502, 503, 504].includes(answer.status)) throw new TypeError(String(answer.status));
    const told = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refused(told.error?.message ?? says.nrFailed);
    return told;
  }

  async function begin(one) {
    const body = new FormData();
    body.append("name", one.file.name);
    body.append("size", one.size);
    Object.assign(one, await ask("POST", form.action, body));
  }

  async function step(one) {
    if (!one.address) return begin(one);
    const end = Math.min(one.received + one.piece, one.size);
    const piece = one.file.slice(one.received, end, "application/octet-stream");
    const told = await ask("PUT", `${one.address}?offset=${one.received}`, piece);
    one.received = told.resync ? (await ask("GET", one.address)).received : told.received;
  }

  async function finish(one) {
    report(says.nrLooking);
    show("stop");
    const told = await ask("POST", `${one.address}end/`);
    location.assign(told.next);
  }

  async function run() {
    let failures = 0;
    const mine = upload;
    show("pause", "stop");
    while (mine === upload && !mine.paused) {
      try {
        if (mine.address && mine.received === mine.size) return await finish(mine);
        await step(mine);
        failures = 0;
        complain("");
        if (mine === upload && !mine.paused) report();
      } catch (error) {
        if (error.name === "AbortError" || mine !== upload) return;
        if (error instanceof Refused) {
          reset();
          return complain(error.message);
        }
        complain(says.nrBroken);
        const pause = WAITS[Math.min(failures++, WAITS.length - 1)];
        await new Promise((done) => { waiting = setTimeout(done, pause); });
      }
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = file.files[0];
    complain(chosen ? "" : says.nrChoose);
    if (!chosen) return file.focus();
    upload = { file: chosen, size: chosen.size, received: 0, address: "", paused: false };
    file.disabled = true;
    report();
    run();
  });

  buttons.pause.addEventListener("click", () => {
    upload.paused = true;
    request?.abort();
    report(says.nrPaused);
    show("resume", "stop");
  });

  // What was cut off may have been stored all the same.
  buttons.resume.addEventListener("click", () => {
    upload = { ...upload, paused: false, address: "" };
    run();
  });

  buttons.stop.addEventListener("click", () => {
    const given = upload?.address;
    clearTimeout(waiting);
    request?.abort();
    complain("");
    reset();
    if (given) ask("DELETE", given).catch(() => complain(says.nrFailed));
  });
});
