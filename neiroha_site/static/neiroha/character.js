"use strict";

// The character's form shows what the chosen provider and task mode read; the server checks all of it again.
document.addEventListener("DOMContentLoaded", () => {
  const provider = document.getElementById("id_provider");
  const mode = document.querySelector("[data-nr-providers]");
  if (!provider || !mode) return;
  const choices = JSON.parse(mode.dataset.nrProviders);
  const known = new Set(["model", "voice", "reference", "prompt_text", "prompt_language", "language", "instruction"]);

  const row = (name) => document.querySelector(`.field-line.field-${CSS.escape(name)}`);
  const show = (element, visible) => { if (element) element.hidden = !visible; };

  function showModes(modes) {
    for (const option of mode.options) {
      option.hidden = option.disabled = !(option.value in modes);
    }
    if (!(mode.value in modes)) mode.value = Object.keys(modes)[0];
  }

  function update() {
    const choice = choices[provider.value];
    if (!choice) return;
    showModes(choice.modes);
    const fields = choice.modes[mode.value] ?? { required: [], optional: [] };
    for (const name of known) {
      show(row(name), fields.required.includes(name) || fields.optional.includes(name));
      row(name)?.classList.toggle("nr-required", fields.required.includes(name));
    }
    for (const option of document.querySelectorAll("[data-nr-kind]")) {
      show(option.closest(".field-line"), option.dataset.nrKind === choice.kind);
    }
  }

  const voice = document.getElementById("id_voice");
  const note = document.createElement("p");
  note.className = "nr-quiet";
  voice?.after(note);
  for (const input of document.querySelectorAll("input[list^='nr-']")) {
    const list = document.createElement("datalist");
    list.id = input.getAttribute("list");
    input.after(list);
  }

  function offer(name, entries) {
    const options = entries.map(({ id, label, listen }) => {
      const option = document.createElement("option");
      option.value = id;
      option.label = label;
      if (listen) option.dataset.nrVoice = listen;
      return option;
    });
    document.getElementById(`nr-${name}-list`)?.replaceChildren(...options);
    document.getElementById(`id_${name}`)?.dispatchEvent(new Event("nr-offered"));
  }

  function tell({ text, action, url }) {
    note.replaceChildren(text);
    if (!url) return;
    const link = document.createElement("a");
    link.className = "nr-link";
    link.href = url;
    link.textContent = action;
    note.append(" ", link);
  }

  const nothing = { voice: [], model: [], more: false, note: { text: "", action: "", url: "" } };

  // A convenience only: without an answer, voice and model are typed by hand.
  async function ask(words) {
    if (!provider.value) return nothing;
    const query = new URLSearchParams({ provider: provider.value, q: words });
    const response = await fetch(`${voice.dataset.nrSuggestions}?${query}`).catch(() => null);
    return response?.ok && !response.redirected ? response.json() : nothing;
  }

  let more = false;
  async function suggest() {
    const chosen = provider.value;
    const found = await ask("");
    if (provider.value !== chosen) return;
    more = found.more;
    offer("voice", found.voice);
    offer("model", found.model);
    tell(found.note);
  }

  let pause = 0;
  function narrow() {
    if (!more) return;
    clearTimeout(pause);
    pause = setTimeout(async () => {
      const words = voice.value;
      const found = await ask(words);
      if (voice.value === words) offer("voice", found.voice);
    }, 250);
  }

  if (voice?.dataset.nrSuggestions) {
    provider.addEventListener("change", suggest);
    voice.addEventListener("input", narrow);
    suggest();
  }

  // The chosen recording is heard at once, and what it says stands in for fields that are left empty.
  const reference = document.querySelector("[data-nr-references]");
  function listen() {
    const recording = JSON.parse(reference.dataset.nrReferences)[reference.value];
    player.hidden = !recording;
    if (recording) player.src = recording.url;
    for (const [name, value] of [["prompt_text", recording?.transcript], ["prompt_language", recording?.language]]) {
      const field = document.getElementById(`id_${name}`);
      if (field) field.placeholder = value ?? "";
    }
  }
  const player = document.createElement("audio");
  player.className = "nr-audio nr-field-audio";
  player.controls = true;
  player.preload = "none";
  if (reference) {
    player.setAttribute("aria-label", reference.dataset.nrListen);
    reference.parentElement.after(player);  // its parent draws the arrow in its own middle
    reference.addEventListener("change", listen);
    listen();
  }
  provider.addEventListener("change", update);
  mode.addEventListener("change", update);
  update();
});
