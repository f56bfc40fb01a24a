"use strict";

// What a form that only asks would answer, while one still types. Without this script its button asks.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("[data-nr-try]");
  const PAUSE = 300;
  let timer, asked = 0;

  async function ask() {
    const number = ++asked;
    const url = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const answer = await fetch(url).catch(() => null);
    // Only the latest question's answer counts.
    if (!answer?.ok || number !== asked) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const shown = document.getElementById(form.dataset.nrTry), made = page.getElementById(form.dataset.nrTry);
    if (made) Idiomorph.morph(shown, made, { morphStyle: "outerHTML" });
  }

  form?.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, PAUSE);
  });
});
