"use strict";

// Voices are heard one at a time: a button with data-nr-listen asks its address for sound, and stops it again.
document.addEventListener("DOMContentLoaded", () => {
  const status = document.querySelector("[data-nr-listen-status]");
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (!status || !token) return;
  const audio = new Audio();
  const icons = { idle: "play_arrow", loading: "progress_activity", playing: "stop" };
  const REMEMBERED = 30;
  // What was heard on this page costs no second request.
  const heard = new Map();
  let current = null;

  function show(button, state) {
    const { nrPlay, nrStop } = button.dataset;
    button.dataset.nrState = state;
    button.firstElementChild.textContent = icons[state];
    button.title = state === "idle" ? nrPlay : nrStop;
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-busy", String(state === "loading"));
    status.textContent = state === "idle" ? "" : `${status.dataset[state]} ${button.dataset.nrName}`;
  }

  function tell(button, text) {
    const reason = button.nextElementSibling;
    reason.textContent = text;
    reason.hidden = !text;
  }

  function stop() {
    if (!current) return;
    const { button, request } = current;
    current = null;
    request.abort();
    audio.pause();
    show(button, "idle");
  }

  async function ask(button, signal) {
    const response = await fetch(button.dataset.nrListen, {
      method: "POST", headers: { "X-CSRFToken": token }, redirect: "manual", signal,
    });
    if (response.ok) return URL.createObjectURL(await response.blob());
    const told = await response.json().catch(() => null);
    throw new Error(told?.error?.message ?? status.dataset.refused);
  }

  async function sound(button, signal) {
    const known = heard.get(button.dataset.nrListen) ?? await ask(button, signal);
    heard.delete(button.dataset.nrListen);
    heard.set(button.dataset.nrListen, known);
    if (heard.size > REMEMBERED) {
      const [oldest] = heard.keys();
      URL.revokeObjectURL(heard.get(oldest));
      heard.delete(oldest);
    }
    return known;
  }

  function reasonOf(error) {
    if (error instanceof TypeError) return status.dataset.unreachable;
    return error instanceof DOMException ? status.dataset.silent : error.message;
  }

  async function start(button) {
    stop();
    tell(button, "");
    const mine = current = { button, request: new AbortController() };
    show(button, "loading");
    try {
      const address = await sound(button, mine.request.signal);
      if (current !== mine) return;
      audio.src = address;
      await audio.play();
      if (current === mine) show(button, "playing");
    } catch (error) {
      // What was stopped fails, too.
      if (current !== mine) return;
      stop();
      tell(button, reasonOf(error));
    }
  }

  audio.addEventListener("ended", stop);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-nr-listen]");
    if (!button) return;
    if (current?.button === button) stop();
    else start(button);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  for (const button of document.querySelectorAll("[data-nr-listen]")) button.hidden = false;

  // Beside a field that a voice is chosen in: for as long as a voice that the provider lists stands there.
  const template = document.querySelector("[data-nr-listen-beside]");
  const voice = document.getElementById("id_voice");
  if (template && voice) accompany();

  function accompany() {
    const row = document.createElement("div");
    row.className = "nr-listen-row";
    row.append(template.content.cloneNode(true));
    voice.after(row);
    const button = row.querySelector("button");
    const follow = () => {
      const offered = document.getElementById(voice.getAttribute("list"))?.options ?? [];
      const key = [...offered].find((one) => one.value === voice.value)?.dataset.nrVoice;
      const address = key ? template.dataset.nrAddress.replace("/0/", `/${key}/`) : "";
      if (button.dataset.nrListen === address) return;
      if (current?.button === button) stop();
      tell(button, "");
      button.dataset.nrListen = address;
      button.dataset.nrName = voice.value;
      row.hidden = !address;
    };
    row.hidden = true;
    voice.addEventListener("input", follow);
    voice.addEventListener("nr-offered", follow);
    follow();
  }
});
