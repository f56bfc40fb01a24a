"use strict";

// The import of a text: the names of all chosen files are shown, and the preview follows the form, a moment after each
// change.
document.addEventListener("DOMContentLoaded", () => {
  const PAUSE = 350;
  const chosen = document.querySelector("[data-nr-chosen]");
  if (chosen) watchFiles(chosen);

  const form = document.getElementById("nr-cut");
  if (!form) return;
  const preview = document.getElementById("nr-preview");
  const look = form.querySelector("[name=look]");
  let timer = 0, request = null, isOpen = false;
  look.hidden = true;

  async function renew() {
    request?.abort();
    request = new AbortController();
    preview.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(form.dataset.nrPreview, { method: "POST", body: new FormData(form), signal: request.signal });
      // The text is gone, or the person is signed out: the page itself says so.
      if (!answer.ok || answer.redirected) return location.replace(location.pathname);
      const content = document.createElement("div");
      content.id = preview.id;
      content.className = preview.className;
      content.innerHTML = await answer.text();
      const list = preview.querySelector("details");
      if (list) isOpen = list.open;
      for (const details of content.querySelectorAll("details")) details.open = isOpen;
      Idiomorph.morph(preview, content, { morphStyle: "outerHTML" });
    } catch (error) {
      if (error.name !== "AbortError") look.hidden = false;
    }
  }

  // What is sent now shows its own outcome.
  form.addEventListener("submit", () => {
    clearTimeout(timer);
    request?.abort();
  });
  form.addEventListener("input", () => {
    for (const error of form.querySelectorAll("section:first-of-type .nr-error")) error.remove();
    clearTimeout(timer);
    timer = setTimeout(renew, PAUSE);
  });
});

function watchFiles(chosen) {
  const SHOWN = 20;
  const form = chosen.closest("form");
  const listed = (names) => names.slice(0, SHOWN).join(", ") + (names.length > SHOWN ? " …" : "");
  const pathOf = (file) => file.webkitRelativePath || file.name;

  // What of a folder is hidden or no text stays here: it isn't sent.
  function texts(input) {
    const suffixes = input.dataset.nrSuffixes?.split(" ");
    if (!suffixes) return [[...input.files], []];
    const wanted = (file) => !file.name.startsWith(".") && suffixes.some((suffix) => file.name.toLowerCase().endsWith(suffix));
    const kept = [...input.files].filter(wanted);
    const skipped = [...input.files].filter((file) => !wanted(file)).map(pathOf);
    const transfer = new DataTransfer();
    for (const file of kept) transfer.items.add(file);
    input.files = transfer.files;
    return [kept, skipped];
  }

  form.addEventListener("change", ({ target: input }) => {
    if (input.type !== "file") return;
    const [kept, skipped] = texts(input);
    const shown = input.closest(".nr-field").querySelector("input[type=text]");
    if (shown) shown.value = listed(kept.map(pathOf));
    if (input.dataset.nrSuffixes) {
      for (const old of form.querySelectorAll("[name=folder_path]")) old.remove();
      // The browser sends names alone.
      for (const file of kept) {
        const path = Object.assign(document.createElement("input"), { type: "hidden", name: "folder_path", value: pathOf(file) });
        form.append(path);
      }
    }
    const most = Number(input.dataset.nrMostFiles), bytes = kept.reduce((sum, file) => sum + file.size, 0);
    const wrong = kept.length > most ? chosen.dataset.nrManyText
      : bytes > Number(input.dataset.nrMaxBytes) ? input.dataset.nrTooLarge : "";
    input.setCustomValidity(wrong);
    form.querySelector("[name=begin]").disabled = Boolean(wrong);
    const parts = [wrong, skipped.length ? `${chosen.dataset.nrSkippedText} ${listed(skipped)}` : ""];
    chosen.textContent = parts.filter(Boolean).join(" ");
    chosen.hidden = !chosen.textContent;
  });
}
