"use strict";

// A project's lines without reloading: forms are sent in the background, and the answer's page takes the place of this
// one, but for what somebody edits, ticked, opened or listens to. Everything works without this script too.
// Events on the document: "nr-shown" after lines were put on the page, "nr-renew" to have the page read again.
const NrLines = {
  part: null,

  morph(old, fresh) {
    if (!old || !fresh) return;
    const focused = document.activeElement?.id, place = document.activeElement?.closest?.("[data-nr-line]")?.id;
    Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", callbacks: NrLines.keep });
    if (document.activeElement !== document.body || !focused) return;
    (document.getElementById(focused) ?? document.getElementById(place))?.focus({ preventScroll: true });
  },

  keep: {
    beforeNodeRemoved: (node) => !(node.matches?.(".nr-edit") || node.querySelector?.(".nr-edit")),
    beforeNodeMorphed: (node) => !node.matches?.(".nr-edit, [data-nr-mine], audio"),
    beforeAttributeUpdated: (name, node) => !((name === "open" && node.localName === "details") || (name === "checked" && node.name === "line")),
  },

  // The page of an answer in place of this one. False where it is another page, such as that to sign in.
  show(page) {
    const fresh = page.getElementById("nr-part");
    if (!fresh) return false;
    const nodes = { find: document.querySelector(".nr-find"), freshFind: page.querySelector(".nr-find") };
    NrLines.morph(document.getElementById("nr-summary"), page.getElementById("nr-summary"));
    // The filters come with the first line.
    if (!nodes.find && nodes.freshFind) NrLines.part.before(nodes.freshFind);
    for (const name of ["nrStamp", "nrFiltered"]) {
      if (fresh.dataset[name] === undefined) delete NrLines.part.dataset[name];
      else NrLines.part.dataset[name] = fresh.dataset[name];
    }
    NrLines.morph(NrLines.part, fresh);
    for (const next of document.querySelectorAll("input[name='next']")) next.value = page.querySelector("#nr-line-acts [name='next']")?.value ?? next.value;
    document.dispatchEvent(new Event("nr-shown"));
    return true;
  },

  async read(address) {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.ok && page.getElementById("nr-part") ? { page, address: answer.url } : null;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  const notes = document.getElementById("nr-notes");
  NrLines.part = document.getElementById("nr-part");
  if (!NrLines.part) return;
  const composer = () => document.getElementById("nr-composer");

  function fail() {
    const text = document.createElement("p");
    text.className = "nr-notice";
    text.setAttribute("role", "alert");
    text.textContent = notes.dataset.nrFailed;
    notes.replaceChildren(text);
    notes.scrollIntoView({ block: "nearest" });
  }

  // Read again, once, however often it is asked for meanwhile.
  let reading = null, again = false;
  async function renew() {
    again = true;
    if (reading) return reading;
    reading = (async () => {
      while (again) {
        again = false;
        const found = await NrLines.read(location.href).catch(() => null);
        if (found) NrLines.show(found.page);
      }
      reading = null;
    })();
    return reading;
  }
  document.addEventListener("nr-renew", renew);

  async function send(form, button, body) {
    const known = new Set([...document.querySelectorAll("[data-nr-line]")].map((line) => line.id));
    const answer = await fetch(form.action, { method: "POST", body });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok || !page.getElementById("nr-part")) return fail();
    const panel = (button ?? form).closest(".nr-edit");
    const wrong = page.querySelector("#nr-composer .nr-error") ? "nr-composer" : page.querySelector(".nr-edit .nr-error") ? panel.id : "";
    if (panel && panel.id !== wrong && !button?.matches("[data-nr-stay]")) close(panel);
    if (form.dataset.nrLineForm === "add" && !wrong && answer.redirected) history.replaceState(null, "", answer.url);
    NrLines.morph(notes, page.getElementById("nr-notes"));
    NrLines.show(page);
    for (const error of document.querySelectorAll("#nr-tools .nr-error")) error.remove();
    if (wrong) swap(wrong, page);
    else if (form.dataset.nrLineForm === "add") written(known, body.get("new-text"));
    else if (page.querySelector("#nr-tools .nr-error")) swap("nr-tools", page);
  }

  function swap(id, page) {
    const old = document.getElementById(id), fresh = page.getElementById(id);
    old.replaceWith(fresh);
    prepare();
    (fresh.querySelector("[aria-invalid='true']") ?? fresh.querySelector("textarea"))?.focus();
  }

  function written(known, sent) {
    const form = composer(), text = form.elements["new-text"];
    for (const error of form.querySelectorAll(".nr-error, .nr-composer-place")) error.remove();
    text.removeAttribute("aria-invalid");
    form.elements["new-place"].value = "";
    // What was typed meanwhile is the next line.
    if (text.value.startsWith(sent)) text.value = text.value.slice(sent.length).trimStart();
    const made = [...document.querySelectorAll("[data-nr-line]")].filter((line) => !known.has(line.id)).pop();
    (made ?? document.querySelector(".nr-place:last-child"))?.scrollIntoView({ block: "center" });
    text.focus({ preventScroll: true });
  }

  // One after another, as they were asked for; the same button twice is once.
  let sending = Promise.resolve();
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("[data-nr-line-form]");
    if (!form) return;
    event.preventDefault();
    const button = event.submitter, several = form.dataset.nrLineForm === "act", body = new FormData(form, button);
    const pressed = several && button ? button : form;
    if (pressed.getAttribute("aria-busy")) return;
    if (button || !several) pressed.setAttribute("aria-busy", "true");
    sending = sending.then(() => send(form, button, body)).catch(fail).finally(() => pressed.removeAttribute("aria-busy"));
  });

  // Editing in place.
  function close(panel) {
    const place = panel.closest(".nr-place");
    panel.remove();
    place?.querySelector("[data-nr-line]")?.focus({ preventScroll: true });
  }

  async function edit(link) {
    const answer = await fetch(link.dataset.nrEdit);
    const panel = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".nr-edit");
    // The line is gone, or the right to change it.
    if (!panel) return renew();
    if (!document.getElementById(panel.id)) link.closest(".nr-place").append(panel);
    panel.querySelector("[name='next']").value = document.querySelector("#nr-line-acts [name='next']").value;
    prepare();
    const field = panel.querySelector(`[name$='-${link.dataset.nrField ?? "text"}']`);
    field.focus();
    field.setSelectionRange?.(field.value.length, field.value.length);
  }

  // Where the composer puts what it writes; the words in it stay.
  async function insert(link) {
    const found = await NrLines.read(link.href);
    const fresh = found?.page.getElementById("nr-composer");
    if (!fresh) return renew();
    for (const name of ["new-character", "new-text"]) fresh.elements[name].value = composer().elements[name].value;
    fresh.elements["new-generate"].checked = composer().elements["new-generate"].checked;
    composer().replaceWith(fresh);
    if (link.closest(".nr-edit")) close(link.closest(".nr-edit"));
    fresh.elements["new-text"].focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-nr-edit], [data-nr-insert], [data-nr-leave]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.nrEdit) edit(link).catch(fail);
    else if (link.matches("[data-nr-leave]")) close(link.closest(".nr-edit"));
    else insert(link).catch(fail);
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest?.("[data-nr-line-form='add'], [data-nr-line-form='edit']");
    if (!form || event.isComposing) return;
    if (event.key === "Escape") form.querySelector("[data-nr-leave]")?.click();
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    const split = event.shiftKey && form.querySelector("[data-nr-split]");
    form.requestSubmit(split || form.querySelector("[type='submit']"));
  });

  // Characters, not the halves of which some are stored.
  document.addEventListener("submit", (event) => {
    const at = event.target.elements?.at, text = event.target.querySelector?.("textarea");
    if (at && text) at.value = [...text.value.slice(0, text.selectionStart)].length;
  }, true);

  function prepare() {
    for (const button of document.querySelectorAll("[data-nr-split]")) button.hidden = false;
  }

  addEventListener("beforeunload", (event) => {
    const written = [...document.querySelectorAll("textarea[data-nr-write]")].some((text) => text.value !== text.defaultValue);
    if (written) event.preventDefault();
  });
  prepare();
});
