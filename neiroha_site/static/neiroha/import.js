"use strict";

// The import of a text: the names of all chosen files are shown, and the preview follows the form, a moment after each
// change.
document.addEventListener("DOMContentLoaded", () => {
  const PAUSE = 350;
  const files = document.getElementById("id_uploads");
  files?.addEventListener("change", () => {
    const shown = files.closest(".nr-field").querySelector("input[type=text]");
    shown.value = [...files.files].map((file) => file.name).join(", ");
  });

  const form = document.getElementById("nr-cut");
  if (!form) return;
  const preview = document.getElementById("nr-preview");
  const look = form.querySelector("[name=look]");
  let timer = 0, request = null;
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
