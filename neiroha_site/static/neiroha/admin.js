"use strict";

// Copy buttons: data-nr-copy names the element whose text is copied.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-nr-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.nrCopy);
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // No clipboard without HTTPS: select the text, so that one keystroke copies it.
    getSelection().selectAllChildren(source);
    return;
  }
  const label = button.textContent;
  button.textContent = button.dataset.nrCopied;
  setTimeout(() => { button.textContent = label; }, 2000);
});

document.addEventListener("DOMContentLoaded", () => {
  // A page that was the answer to a form: reloading it leads elsewhere instead of sending the form again.
  const answer = document.querySelector("[data-nr-replace-address]");
  if (answer) history.replaceState(null, "", answer.dataset.nrReplaceAddress);
});

// Times are shown in this zone until the person chooses another.
document.cookie = `neiroha_zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; max-age=31536000; samesite=lax`;
