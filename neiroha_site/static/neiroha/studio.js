"use strict";

// Takes without reloading: forms are sent in the background, and what the answer's page shows in place of a part of this
// one is put there. Everything works without this script too, a page at a time.
document.addEventListener("DOMContentLoaded", () => {
  const FIRST_LOOK = 300, NEXT_LOOK = 700, LATER_LOOK = 5000;
  const notes = document.getElementById("nr-notes");

  // Elements that stay keep their state: a player plays on, focus stays.
  function renew(part, content) {
    if (!part || !content) return;
    Idiomorph.morph(part, content, { morphStyle: "outerHTML" });
  }

  function fail() {
    const text = document.createElement("p");
    text.className = "nr-notice";
    text.setAttribute("role", "alert");
    text.textContent = notes.dataset.nrFailed;
    notes.replaceChildren(text);
    notes.scrollIntoView({ block: "nearest" });
  }

  function tidy(form) {
    for (const error of form.querySelectorAll(".nr-error")) error.remove();
    for (const field of form.elements) field.removeAttribute("aria-invalid");
  }

  async function send(form, button) {
    const body = new FormData(form, button);
    const answer = await fetch(form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Signed out, forbidden or broken: a page of its own says so.
    if (!answer.ok || !page.getElementById(form.dataset.nrSend)) return fail();
    const wrong = page.querySelector("#nr-quick .nr-error");
    renew(notes, page.getElementById("nr-notes"));
    renew(document.getElementById(form.dataset.nrSend), page.getElementById(form.dataset.nrSend));
    if (wrong) renew(form, page.getElementById(form.id));
    else tidy(form);
    prepare();
    if (wrong) (form.querySelector(".nr-error").closest(".nr-field") ?? form).querySelector("textarea, select, input:not([type=hidden])").focus();
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-nr-send]");
    if (!form) return;
    event.preventDefault();
    const button = event.submitter;
    if (form.dataset.nrBusy) return;
    form.dataset.nrBusy = "yes";
    button?.setAttribute("aria-busy", "true");
    try {
      await send(form, button);
    } catch {
      fail();
    } finally {
      delete form.dataset.nrBusy;
      button?.removeAttribute("aria-busy");
    }
  });

  // Progress: what is not at its end yet is asked for again and again.
  async function look(take) {
    if (!take.isConnected || !take.dataset.nrOpen) return;
    const answer = await fetch(take.dataset.nrOpen).catch(() => null);
    if (answer?.redirected || answer?.status === 403) return location.reload();
    if (answer?.status === 404) return take.remove();
    if (!answer?.ok) return follow(take, LATER_LOOK);
    const had = take.contains(document.activeElement);
    const template = document.createElement("template");
    template.innerHTML = await answer.text();
    if (!take.isConnected) return;
    renew(take, template.content.querySelector("article"));
    const now = document.getElementById(take.id);
    if (had && !now.contains(document.activeElement)) now.focus();
    if (now.dataset.nrOpen) follow(now, NEXT_LOOK);
  }

  const followed = new Map();
  function follow(take, wait) {
    clearTimeout(followed.get(take.id));
    followed.set(take.id, setTimeout(() => look(take), wait));
  }

  // Players: one at a time; the waveform shows how far it is, and a press on it goes there.
  const wave = (audio) => audio.closest(".nr-hear")?.querySelector("[data-nr-wave]");
  document.addEventListener("play", (event) => {
    for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
  }, true);
  function mark(audio) {
    const { currentTime, duration } = audio;
    if (duration > 0) wave(audio)?.style.setProperty("--nr-played", `${(100 * currentTime) / duration}%`);
  }
  document.addEventListener("timeupdate", (event) => mark(event.target), true);
  document.addEventListener("error", (event) => {
    if (event.target.matches?.(".nr-hear audio")) event.target.parentElement.querySelector(".nr-error").hidden = false;
  }, true);
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-nr-wave]");
    if (!pressed) return;
    const audio = pressed.parentElement.querySelector("audio");
    const box = pressed.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const go = () => { audio.currentTime = share * audio.duration; };
    if (audio.duration > 0) go();
    else audio.addEventListener("loadedmetadata", go, { once: true });
    audio.play().catch(() => {});
  });

  // The form.
  function narrow() {
    const bank = document.getElementById("id_bank");
    const character = document.getElementById("id_character");
    for (const option of character.options) {
      option.hidden = option.disabled = Boolean(bank.value) && option.value.split("-")[0] !== bank.value;
    }
    for (const group of character.querySelectorAll("optgroup")) {
      group.hidden = [...group.children].every((option) => option.hidden);
    }
    if (character.selectedOptions[0]?.hidden) character.value = [...character.options].find((one) => !one.hidden)?.value;
  }

  function fit() {
    const form = document.getElementById("nr-quick");
    if (!form) return;
    form.querySelector("[data-nr-narrow]").hidden = false;
    const text = form.elements.text, count = form.querySelector("[data-nr-count]");
    const longest = Number(text.dataset.nrLongest), length = [...text.value].length;
    count.hidden = false;
    count.textContent = `${length} / ${longest}`;
    count.classList.toggle("nr-over", length > longest);
    const able = form.dataset.nrInstructed.split(" ").includes(form.elements.character.value);
    const instruction = form.elements.instruction;
    instruction.closest(".nr-field").hidden = instruction.disabled = !able && !form.querySelector("#id_instruction_error");
  }

  function prepare() {
    fit();
    for (const audio of document.querySelectorAll("audio")) mark(audio);
    for (const take of document.querySelectorAll("[data-nr-open]")) follow(take, FIRST_LOOK);
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "id_bank") narrow();
    if (event.target.closest("#nr-quick")) fit();
    if (event.target.matches("[data-nr-tick-all]")) {
      for (const box of document.querySelectorAll("input[name='take']")) box.checked = event.target.checked;
    }
  });
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("#nr-quick");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(form.querySelector("[type='submit']"));
  });
  prepare();
});
