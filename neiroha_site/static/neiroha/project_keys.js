"use strict";

// Ticking, dragging and the keyboard on a project's lines.
document.addEventListener("DOMContentLoaded", () => {
  const part = document.getElementById("nr-part"), help = document.getElementById("nr-help");
  if (!part) return;
  const boxes = () => [...part.querySelectorAll("input[name='line']")];
  const places = () => [...part.querySelectorAll(".nr-place")];
  const FIELDS = "input:not([type=checkbox]), textarea, select, audio, dialog, [contenteditable]";

  // Several lines.
  let last = null;
  function count() {
    const ticked = boxes().filter((box) => box.checked).length, sign = part.querySelector("[data-nr-ticked]");
    if (!sign) return;
    sign.textContent = ticked || "";
    const all = document.getElementById("nr-tick-all");
    all.checked = ticked > 0 && ticked === boxes().length;
    all.indeterminate = ticked > 0 && !all.checked;
    for (const box of boxes()) box.closest(".nr-place").classList.toggle("nr-ticked", box.checked);
  }

  document.addEventListener("click", (event) => {
    const box = event.target.closest("input[name='line']");
    if (!box) return;
    const all = boxes(), from = all.findIndex((each) => each.id === last), to = all.indexOf(box);
    if (event.shiftKey && from >= 0) {
      for (const each of all.slice(Math.min(from, to), Math.max(from, to) + 1)) each.checked = box.checked;
    }
    last = box.id;
    count();
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-nr-tick-lines]")) return;
    for (const box of boxes()) box.checked = event.target.checked;
    count();
  });

  // An action as its button would send it.
  function act(values) {
    const form = document.getElementById("nr-line-acts");
    const fields = Object.entries(values).map(([name, value]) => {
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      form.append(field);
      return field;
    });
    form.requestSubmit();
    for (const field of fields) field.remove();
  }

  // Dragging by the handle: a line shows where it will stand.
  let dragged = null, began = "";
  const order = () => places().map((place) => place.id).join();
  const pkOf = (place) => place?.querySelector("[data-nr-line]").dataset.nrLine ?? "";

  function follow(event) {
    const rest = places().filter((place) => place !== dragged);
    const next = rest.find((place) => {
      const box = place.getBoundingClientRect();
      return event.clientY < box.top + box.height / 2;
    });
    if (next) next.before(dragged);
    else rest.at(-1)?.after(dragged);
    const edge = 90;
    if (event.clientY < edge) scrollBy(0, -12);
    if (event.clientY > innerHeight - 2 * edge) scrollBy(0, 12);
  }

  function drop() {
    const place = dragged;
    place.classList.remove("nr-dragged");
    dragged = null;
    if (order() === began) return;
    const before = pkOf(place.nextElementSibling), after = pkOf(place.previousElementSibling);
    act({ act: `move:${pkOf(place)}`, ...(before ? { before } : { after }) });
  }

  document.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest?.(".nr-handle");
    if (!handle || event.button) return;
    event.preventDefault();
    dragged = handle.closest(".nr-place");
    began = order();
    dragged.classList.add("nr-dragged");
  });
  document.addEventListener("pointermove", (event) => { if (dragged) follow(event); });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { if (dragged) drop(); });

  // The keyboard.
  function go(place, steps) {
    const all = places(), to = all[all.indexOf(place) + steps] ?? (place ? null : all[0]);
    to?.querySelector("[data-nr-line]").focus();
    to?.scrollIntoView({ block: "nearest" });
  }

  function onLine(event, place) {
    const steps = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (steps && event.altKey) {
      if (!document.getElementById("nr-line-acts") || part.dataset.nrFiltered !== undefined) return;
      act({ act: `${steps < 0 ? "up" : "down"}:${pkOf(place)}` });
    } else if (steps) {
      go(place, steps);
    } else if (event.key === "Enter" && event.target.matches("[data-nr-line]")) {
      place.querySelector("[data-nr-edit]:not([data-nr-field])")?.click();
    } else {
      return;
    }
    event.preventDefault();
  }

  // Before the shell, which has a list of its own for this key.
  addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.target.closest?.(FIELDS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!help.open) help.showModal();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest?.(FIELDS) || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const place = event.target.closest?.(".nr-place");
    if (place) onLine(event, place);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-nr-open-help]")) help.showModal();
  });

  function prepare() {
    for (const hidden of part.querySelectorAll(".nr-handle, [data-nr-open-help]")) hidden.hidden = false;
    count();
  }
  document.addEventListener("nr-shown", prepare);
  document.addEventListener("nr-painted", count);
  prepare();
});
