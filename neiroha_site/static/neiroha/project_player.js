"use strict";

// One player for all lines: one line, or line after line from one of them on, over the pages too.
document.addEventListener("DOMContentLoaded", () => {
  const player = document.getElementById("nr-player");
  if (!player) return;
  const audio = player.querySelector("audio"), error = player.querySelector(".nr-error");
  // The audio that comes next is fetched while this one is heard.
  const fetched = new Map();
  const REMEMBERED = 4;
  let line = null, onward = false;

  const linkOf = (pk) => document.getElementById(`nr-play-${pk}`);
  const placeOf = (pk) => document.getElementById(`nr-place-${pk}`);

  function sound(address) {
    if (!fetched.has(address)) {
      const asked = fetch(address).then(async (answer) => {
        if (!answer.ok) throw new Error(answer.status);
        return URL.createObjectURL(await answer.blob());
      });
      asked.catch(() => fetched.delete(address));
      fetched.set(address, asked);
      const [oldest] = fetched.keys();
      if (fetched.size > REMEMBERED) forget(oldest);
    }
    return fetched.get(address);
  }

  function forget(address) {
    fetched.get(address)?.then(URL.revokeObjectURL, () => {});
    fetched.delete(address);
  }

  // The next line on this page that can be heard.
  function following(pk) {
    const places = [...document.querySelectorAll(".nr-place")];
    const behind = places.slice(places.indexOf(placeOf(pk)) + 1);
    return behind.find((place) => place.querySelector("[data-nr-play]")) ?? null;
  }

  async function play(pk, goOn) {
    const link = linkOf(pk);
    if (!link) return stop();
    const mine = line = pk;
    onward = goOn;
    player.hidden = false;
    error.hidden = true;
    const place = placeOf(pk);
    player.querySelector("[data-nr-player-line]").textContent = `${place.querySelector(".nr-number").textContent} · ${place.querySelector(".nr-line-text").textContent}`;
    mark();
    if (goOn) place.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    try {
      const address = await sound(link.href);
      if (line !== mine) return;
      audio.src = address;
      await audio.play();
    } catch (problem) {
      if (line === mine && problem.name !== "AbortError") error.hidden = false;
      return;
    }
    const next = goOn && following(pk)?.querySelector("[data-nr-play]");
    if (next) sound(next.href).catch(() => {});
  }

  function stop() {
    line = null;
    audio.pause();
    audio.removeAttribute("src");
    player.hidden = true;
    mark();
  }

  function toggle() {
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  }

  // Which line is heard, and how far; rows that were painted anew don't know it.
  function mark() {
    for (const place of document.querySelectorAll(".nr-place[data-nr-playing]")) {
      if (place.id !== `nr-place-${line}`) {
        place.removeAttribute("data-nr-playing");
        picture(place.querySelector("[data-nr-play]"), false);
      }
    }
    const place = line && placeOf(line);
    if (!place) return;
    const playing = !audio.paused;
    place.dataset.nrPlaying = playing ? "yes" : "paused";
    place.style.setProperty("--nr-played", audio.duration > 0 ? `${(100 * audio.currentTime) / audio.duration}%` : "0%");
    picture(place.querySelector("[data-nr-play]"), playing);
  }

  function picture(link, playing) {
    if (!link) return;
    link.firstElementChild.textContent = playing ? "pause" : "play_arrow";
    link.dataset.nrState = playing ? "playing" : "idle";
  }

  async function turn() {
    const next = document.querySelector(".nr-pages a[rel='next']");
    if (!next || document.querySelector(".nr-edit")) return stop();
    const found = await NrLines.read(next.href).catch(() => null);
    if (!found || !NrLines.show(found.page)) return stop();
    history.pushState(null, "", found.address);
    const first = document.querySelector(".nr-place [data-nr-play]");
    return first ? play(pkOf(first), true) : stop();
  }

  const pkOf = (element) => element.closest(".nr-place").querySelector("[data-nr-line]").dataset.nrLine;

  audio.addEventListener("ended", () => {
    if (!onward) return mark();
    const next = following(line);
    return next ? play(pkOf(next.firstElementChild), true) : turn();
  });
  for (const name of ["play", "pause", "timeupdate"]) audio.addEventListener(name, mark);
  player.querySelector("[data-nr-player-end]").addEventListener("click", stop);

  function prepare() {
    for (const button of document.querySelectorAll("[data-nr-from]")) button.hidden = false;
    mark();
  }
  document.addEventListener("nr-shown", prepare);
  document.addEventListener("nr-painted", prepare);
  addEventListener("popstate", () => document.dispatchEvent(new Event("nr-renew")));

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-nr-play], [data-nr-from]");
    const wave = event.target.closest("[data-nr-wave-of]");
    if (wave) return seek(wave, event);
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const pk = pkOf(link), from = link.matches("[data-nr-from]");
    if (pk === line && !from && audio.src) toggle();
    else play(pk, from);
  });

  async function seek(wave, event) {
    const box = wave.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    if (wave.dataset.nrWaveOf !== line) await play(wave.dataset.nrWaveOf, onward);
    if (audio.duration > 0) audio.currentTime = share * audio.duration;
    audio.play().catch(() => {});
  }

  // Space plays, where it means nothing else.
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, button, summary, audio, dialog, [contenteditable], [role='button']")) return;
    const place = event.target.closest(".nr-place");
    const first = place ? place.querySelector("[data-nr-play]") : document.querySelector(".nr-place [data-nr-play]");
    event.preventDefault();
    if (line && (!place || placeOf(line) === place)) toggle();
    else if (first) play(pkOf(first), true);
  });
  prepare();
});
