"use strict";

// The part that stays: drawn on the waveform, or typed as seconds. The two number fields hold the truth.
document.addEventListener("DOMContentLoaded", () => {
  const wave = document.querySelector("[data-nr-wave]");
  if (!wave) return;
  const duration = Number(wave.dataset.nrDuration);
  const start = document.getElementById("id_start");
  const end = document.getElementById("id_end");
  const part = wave.querySelector("[data-nr-part]");
  const playhead = wave.querySelector("[data-nr-playhead]");
  const audio = document.querySelector("audio.nr-audio");
  const GRIP_PIXELS = 10;
  let fixed = null;

  const clamp = (seconds) => Math.min(Math.max(seconds, 0), duration);
  const percent = (seconds) => `${(100 * clamp(seconds)) / duration}%`;
  const rounded = (seconds) => String(Math.round(clamp(seconds) * 100) / 100);

  function draw() {
    part.style.left = percent(Number(start.value));
    part.style.right = `${100 - parseFloat(percent(Number(end.value)))}%`;
  }

  function secondsAt(event) {
    const box = wave.getBoundingClientRect();
    return clamp(((event.clientX - box.left) / box.width) * duration);
  }

  function set(one, other) {
    start.value = rounded(Math.min(one, other));
    end.value = rounded(Math.max(one, other));
    draw();
  }

  wave.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    wave.setPointerCapture(event.pointerId);
    const at = secondsAt(event);
    const grip = (GRIP_PIXELS / wave.getBoundingClientRect().width) * duration;
    // Near one end, that end is dragged and the other one stays; elsewhere a new part begins.
    if (Math.abs(at - Number(start.value)) <= grip) fixed = Number(end.value);
    else if (Math.abs(at - Number(end.value)) <= grip) fixed = Number(start.value);
    else fixed = at;
  });
  wave.addEventListener("pointermove", (event) => { if (fixed !== null) set(fixed, secondsAt(event)); });
  for (const name of ["pointerup", "pointercancel"]) wave.addEventListener(name, () => { fixed = null; });
  for (const field of [start, end]) field.addEventListener("input", draw);

  let stopAt = null;
  document.querySelector("[data-nr-play]").addEventListener("click", () => {
    stopAt = Number(end.value);
    audio.currentTime = clamp(Number(start.value));
    audio.play();
  });
  audio.addEventListener("pause", () => { stopAt = null; });
  audio.addEventListener("timeupdate", () => {
    playhead.hidden = false;
    playhead.style.left = percent(audio.currentTime);
    if (stopAt !== null && audio.currentTime >= stopAt) audio.pause();
  });

  draw();
});
