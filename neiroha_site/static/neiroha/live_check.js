"use strict";

// Asks the server about a form while it is filled in, and shows at each field what it says. Saving checks all of it again.
const PAUSE = 350;

class LiveCheck {
  constructor(place) {
    this.place = place;  // holds what belongs to no single field
    this.form = place.closest("form");
    this.touched = new Set();
    for (const kind of ["input", "change", "focusout"]) {
      this.form.addEventListener(kind, (event) => this.noticed(event));
    }
  }

  noticed({ type, target }) {
    const line = target.closest(".field-line");
    if (!line || !target.name) return;
    // Leaving a field says something about it, unless it was only passed through.
    if (type === "focusout" && !line.dataset.nrEdited) return;
    if (type !== "focusout") line.dataset.nrEdited = "yes";
    // Nobody is told of a mistake before the word is finished; one that is shown goes as soon as it is mended.
    if (type !== "input") this.touched.add(nameOf(line));
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.ask(), PAUSE);
  }

  async ask() {
    this.asked?.abort();
    const asked = this.asked = new AbortController();
    const options = { method: "POST", body: this.values(), signal: asked.signal };
    try {
      const response = await fetch(this.place.dataset.nrCheck + location.search, options);
      // Signed out, or no right any more: saving says so.
      if (!response.ok || response.redirected) return;
      const told = await response.json();
      if (!asked.signal.aborted) this.show(told);
    } catch {
      // No connection, or asked anew meanwhile.
    }
  }

  values() {
    const sent = new FormData(this.form);
    for (const [name, value] of [...sent]) {
      if (value instanceof File) sent.delete(name);
    }
    for (const secret of this.form.querySelectorAll("input[type=password]")) {
      sent.set(secret.name, "*".repeat(secret.value.length));
    }
    return sent;
  }

  show({ errors, notes }) {
    for (const line of this.form.querySelectorAll(".field-line")) {
      const name = nameOf(line);
      const told = errors[name] ?? [];
      // What is still to be filled in is no mistake yet.
      const early = !this.touched.has(name) && !line.dataset.nrError && isEmpty(line);
      say(line, early ? [] : told, notes[name] ?? "");
    }
    const others = errors.__all__ ?? [];
    this.place.replaceChildren(...others.map((text) => paragraph(text, "nr-error")));
  }
}

const nameOf = (line) => [...line.classList].find((name) => /^field-(?!line$)/.test(name))?.slice(6);
const inputsOf = (line) => [...line.querySelectorAll("input:not([type=hidden]), select, textarea")];
const isEmpty = (line) => inputsOf(line).every((input) => input.type === "checkbox" ? !input.checked : !input.value);

function paragraph(text, style) {
  const made = document.createElement("p");
  made.className = style;
  made.textContent = text;
  return made;
}

function say(line, errors, note) {
  const inputs = inputsOf(line);
  if (!inputs.length) return;
  const wrong = errors.length > 0;
  // What the server wrote when the form came back: it says it anew, or it is mended.
  line.querySelector(".errorlist")?.parentElement.remove();
  line.classList.toggle("errors", wrong);
  if (wrong) line.dataset.nrError = "yes"; else delete line.dataset.nrError;
  const box = boxOf(line, inputs);
  const told = [...errors.map((text) => paragraph(text, "nr-error")), ...(note ? [paragraph(note, "nr-quiet")] : [])];
  if (box.textContent !== told.map((each) => each.textContent).join("")) box.replaceChildren(...told);
  for (const input of inputs) {
    if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    describe(input, box.id, told.length > 0);
  }
}

function boxOf(line, inputs) {
  const id = `nr-check-${nameOf(line)}`;
  const found = document.getElementById(id);
  if (found) return found;
  const box = document.createElement("div");
  box.id = id;
  box.className = "nr-check";
  box.setAttribute("aria-live", "polite");
  (inputs[0].closest(".grow:not(.field-line)") ?? line).append(box);
  return box;
}

/** Adds the box to what describes the field, or takes it out; what was there for errors of before is gone. */
function describe(input, id, wanted) {
  const there = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((name) => name && name !== id);
  const kept = there.filter((name) => document.getElementById(name));
  if (wanted) kept.push(id);
  if (kept.length) input.setAttribute("aria-describedby", kept.join(" ")); else input.removeAttribute("aria-describedby");
}

document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll("[data-nr-check]")) new LiveCheck(place);
});
