"use strict";

// What is around the player of a book: sentences to press, pages to turn, speed, the timer, keys, and the place that is
// kept for its reader.
document.addEventListener("DOMContentLoaded", () => {
  if (!NrPlayer) return;
  const { bar, sound } = NrPlayer, help = document.getElementById("nr-help"), where = document.getElementById("nr-where");
  const speed = document.getElementById("nr-speed"), sleep = document.getElementById("nr-sleep"), left = document.getElementById("nr-sleep-left");
  const FIELDS = "input, textarea, select, dialog, [contenteditable]";

  // The place, sparingly; what the browser still sends while the page goes is not lost.
  const SPARE = 10000;
  let kept = { at: 0, what: `${NrBook.now} ${speed.value}` };
  function keep(now = true) {
    const what = `${NrBook.now} ${speed.value}`;
    if (what === kept.what || (!now && Date.now() - kept.at < SPARE)) return;
    kept = { at: Date.now(), what };
    const body = new FormData(document.getElementById("nr-reader-form"));
    body.set("line", NrBook.now);
    body.set("speed", speed.value);
    fetch(bar.dataset.nrPlace, { method: "POST", body, keepalive: true }).catch(() => { kept.what = ""; });
  }
  // The first is sent before the page that follows is asked for; phones know the second only.
  for (const name of ["beforeunload", "pagehide"]) addEventListener(name, () => keep());
  document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
  bar.addEventListener("nr-heard", (event) => keep(event.detail));

  // Turning pages by hand: listening goes on there.
  async function turn(address, push = true) {
    const before = NrBook.now;
    let first = "";
    try {
      first = await NrBook.turn(address, push);
    } catch {
      return location.assign(address);
    }
    where.href = `?line=${before}`;
    where.hidden = Boolean(NrBook.sentence(before));
    if (NrPlayer.playing) return NrPlayer.hear(first);
    NrBook.mark(first);
    return scrollTo({ top: 0 });
  }

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const sentence = event.target.closest(".nr-say[data-nr-line]"), link = event.target.closest("[data-nr-turn], #nr-where");
    if (!sentence && !link) return;
    event.preventDefault();
    if (link) turn(link.href);
    else if (!getSelection().isCollapsed) return;
    else NrPlayer.hear(NrBook.keyOf(sentence));
  });
  addEventListener("popstate", () => turn(location.href, false));
  bar.addEventListener("nr-heard", () => { where.hidden = true; });

  // Speed, pitch kept.
  sound.setRate(Number(speed.value));
  speed.addEventListener("change", () => {
    sound.setRate(Number(speed.value));
    keep();
  });

  // The timer ends with a sentence.
  let wakeAt = 0;
  sleep.addEventListener("change", () => {
    wakeAt = Number(sleep.value) ? Date.now() + 60000 * Number(sleep.value) : 0;
    count();
  });
  function count() {
    const seconds = Math.max(Math.ceil((wakeAt - Date.now()) / 1000), 0);
    left.textContent = wakeAt ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "";
  }
  sound.addEventListener("timeupdate", count);
  bar.addEventListener("nr-next", (event) => {
    const due = sleep.value === "chapter" ? event.detail : wakeAt && Date.now() >= wakeAt;
    if (!due) return;
    event.preventDefault();
    sleep.value = "";
    wakeAt = 0;
    count();
  });

  // To the sentence before or behind the marked one, over the pages.
  async function step(by) {
    const all = NrBook.onPage(), to = all[all.indexOf(NrBook.sentence(NrBook.now)) + by];
    if (to) return NrPlayer.playing ? NrPlayer.hear(NrBook.keyOf(to)) : NrBook.mark(NrBook.keyOf(to));
    const link = NrBook.spread().querySelector(by > 0 ? "a[rel='next']" : "a[rel='prev']");
    return link ? turn(link.href) : null;
  }

  function chapter(by) {
    const number = Number(NrBook.spread().dataset.nrChapter) + by;
    const link = document.getElementById(`nr-to-chapter-${number}`);
    if (link) turn(link.href);
  }

  document.getElementById("nr-play").addEventListener("click", NrPlayer.toggle);
  document.getElementById("nr-back").addEventListener("click", () => step(-1));
  document.getElementById("nr-on").addEventListener("click", () => step(1));
  bar.querySelector("[data-nr-open-help]").addEventListener("click", () => help.showModal());

  const KEYS = {
    " ": NrPlayer.toggle,
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    n: () => chapter(1),
    p: () => chapter(-1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || event.target.closest?.(FIELDS)) return;
    const sentence = event.target.closest?.(".nr-say"), steps = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (sentence && steps) {
      const all = NrBook.onPage();
      all[all.indexOf(sentence) + steps]?.focus();
    } else if (!KEYS[event.key] || (event.key === " " && event.target.closest?.("button, summary"))) {
      return;
    } else {
      KEYS[event.key]();
    }
    event.preventDefault();
  });
  // Before the shell, which has a list of its own for this key.
  addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.target.closest?.(FIELDS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!help.open) help.showModal();
  }, true);

  // The keys of a headset or a lock screen.
  const session = navigator.mediaSession;
  function announce() {
    if (!session) return;
    session.metadata = new MediaMetadata({ title: NrBook.spread().dataset.nrTitle, artist: bar.dataset.nrAuthor, album: bar.dataset.nrProject });
  }
  for (const [name, work] of Object.entries({ play: NrPlayer.toggle, pause: NrPlayer.toggle, nexttrack: () => step(1), previoustrack: () => step(-1) })) {
    session?.setActionHandler(name, work);
  }
  bar.addEventListener("nr-heard", announce);
  bar.addEventListener("nr-playing", (event) => {
    if (session) session.playbackState = event.detail ? "playing" : "paused";
    if (!event.detail) keep();
  });
});
