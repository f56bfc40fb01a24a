"use strict";

// The preview: what cues say is heard at their times, as fast as it has to be, with the recording if there is one, and in
// time with a clock alone if there is none.
document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("nr-timeline");
  if (!root) return;
  let footage = document.getElementById("nr-footage");
  const button = root.querySelector("[data-nr-preview]");
  const picture = button.querySelector("[aria-hidden]"), words = button.querySelector(".sr-only");
  // Milliseconds: what begins so soon is fetched, and how far sound may be from where it belongs.
  const AHEAD = 8000, APART = 150;
  const sounds = new Map();
  let began = null, playing = false, frame = 0;

  const lengthOf = (cue) => (1000 * cue.speech) / cue.rate;
  const now = () => (footage ? 1000 * footage.currentTime : began ? began.head + performance.now() - began.at : NrTimeline.head);
  const end = () => (footage ? Infinity : NrCues.list.reduce((latest, cue) => Math.max(latest, cue.end, cue.start + lengthOf(cue)), 0));

  function soundOf(cue) {
    const known = sounds.get(cue.key);
    if (known?.take === cue.take) return known.audio;
    known?.audio.pause();
    const audio = new Audio(root.dataset.nrAudio.replace("/0/", `/${cue.take}/`));
    audio.preload = "auto";
    audio.preservesPitch = true;
    sounds.set(cue.key, { take: cue.take, audio });
    return audio;
  }

  // What is heard at a time, and what comes soon.
  function near(time) {
    const found = [], longest = NrCues.list.reduce((most, cue) => Math.max(most, lengthOf(cue)), 0);
    for (let at = NrCues.firstFrom(time - longest); NrCues.list[at]?.start < time + AHEAD; at++) {
      const cue = NrCues.list[at];
      if (cue.take && cue.start + lengthOf(cue) > time) found.push(cue);
    }
    return found;
  }

  function hear(time) {
    const wanted = near(time), heard = wanted.filter((cue) => cue.start <= time);
    for (const cue of wanted) {
      const audio = soundOf(cue);
      if (!heard.includes(cue)) continue;
      const at = ((time - cue.start) / 1000) * cue.rate;
      audio.playbackRate = cue.rate;
      if (audio.paused && !audio.ended) {
        audio.currentTime = at;
        audio.play().catch(() => {});
      } else if (Math.abs(audio.currentTime - at) * 1000 > APART && audio.readyState > 2 && !audio.seeking) {
        audio.currentTime = at;
      }
    }
    hush(new Set(wanted.map((cue) => cue.key)), new Set(heard.map((cue) => cue.key)));
    mark(heard);
    if (footage) level(heard.length > 0);
  }

  function hush(wanted, heard) {
    for (const [key, { audio }] of sounds) {
      if (!heard.has(key)) audio.pause();
      if (!wanted.has(key)) sounds.delete(key);
    }
  }

  function mark(heard) {
    const keys = new Set(heard.map((cue) => cue.key));
    for (const [key, node] of NrTimeline.cues) node.classList.toggle("nr-cue-heard", keys.has(key));
  }

  // The sound of the recording, as the export will have it.
  function level(speaking) {
    const { nrSound, nrDuck } = footage.dataset;
    footage.muted = nrSound === "off";
    footage.volume = nrSound === "duck" && speaking ? 10 ** (Number(nrDuck) / 20) : 1;
  }

  function show(time) {
    NrTimeline.head = time;
    NrTimeline.point();
  }

  function turn() {
    const time = now();
    show(time);
    hear(time);
    NrTimeline.reveal(time, 0);
    if (time > end()) return stop();
    frame = requestAnimationFrame(turn);
    return undefined;
  }

  async function start() {
    if (playing) return;
    if (!footage && NrTimeline.head >= end()) show(0);
    playing = true;
    began = { head: NrTimeline.head, at: performance.now() };
    tell();
    if (footage) {
      level(false);
      await footage.play().catch(() => stop());
    }
    if (playing) turn();
  }

  function stop() {
    playing = false;
    cancelAnimationFrame(frame);
    show(now());
    began = null;
    footage?.pause();
    for (const { audio } of sounds.values()) audio.pause();
    mark([]);
    tell();
  }

  function seek(time) {
    if (footage) footage.currentTime = Math.min(time / 1000, footage.duration || Infinity);
    if (began) began = { head: time, at: performance.now() };
    for (const { audio } of sounds.values()) audio.pause();
    sounds.clear();
    show(time);
  }

  function tell() {
    picture.textContent = playing ? "pause" : "play_arrow";
    words.textContent = button.title = playing ? button.dataset.nrHold : button.dataset.nrBegin;
    root.dataset.nrPlaying = playing ? "yes" : "no";
  }

  button.addEventListener("click", () => (playing ? stop() : start()));
  document.addEventListener("nr-seek", ({ detail }) => seek(detail));
  document.addEventListener("nr-play-from", ({ detail }) => {
    if (playing) return stop();
    seek(detail);
    return start();
  });
  // A recording that this browser can't play.
  footage?.addEventListener("error", () => {
    document.getElementById("nr-footage-broken").hidden = false;
    footage.hidden = true;
    footage = null;
  });
  // By the recording's own controls.
  footage?.addEventListener("play", () => start());
  footage?.addEventListener("pause", () => { if (playing) stop(); });
  footage?.addEventListener("seeked", () => {
    for (const { audio } of sounds.values()) audio.pause();
    sounds.clear();
    show(now());
  });
  // The player of single lines and this one are not heard at once.
  document.querySelector("#nr-player audio")?.addEventListener("play", () => { if (playing) stop(); });
});
