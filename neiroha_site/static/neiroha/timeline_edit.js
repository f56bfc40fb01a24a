"use strict";

// Moving and resizing cues with the pointer and the keyboard.
document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("nr-timeline");
  if (!root) return;
  const track = root.querySelector(".nr-time-track"), news = root.querySelector(".nr-time-news");
  const may = root.dataset.nrMay !== undefined, SHORTEST = 100, EDGE = 8, NEAR = 8, STEP = 100;
  NrTimeline.open(root);
  NrCues.open(root).then(() => {
    root.removeAttribute("aria-busy");
  });

  const cueOf = (node) => NrCues.byKey.get(Number(node?.dataset.nrCue));
  const say = (text) => { news.textContent = text; };

  // What the edges of cues and the playing head pull to, but for those of the cue itself.
  function snapped(time, cue) {
    const near = NEAR / NrTimeline.scale, at = NrCues.firstFrom(time - NrCues.longest - near);
    let best = Math.abs(NrTimeline.head - time) <= near ? Math.round(NrTimeline.head) : null;
    for (let place = at; NrCues.list[place]?.start <= time + near; place++) {
      const other = NrCues.list[place];
      if (other === cue) continue;
      for (const edge of [other.start, other.end]) {
        if (Math.abs(edge - time) <= near && (best === null || Math.abs(edge - time) < Math.abs(best - time))) best = edge;
      }
    }
    return best;
  }

  // The cue as it was, moved by so much in one of three ways.
  function put(cue, [start, end], way, by, free) {
    const pulled = (time) => (free ? null : snapped(time, cue));
    if (way === "move") {
      let shift = Math.max(Math.round(by), -start);
      const first = pulled(start + shift), last = pulled(end + shift);
      const steps = [first === null ? null : first - start, last === null ? null : last - end].filter((step) => step !== null);
      if (steps.length) shift = steps.reduce((best, step) => (Math.abs(step - by) < Math.abs(best - by) ? step : best));
      shift = Math.max(shift, -start);
      [cue.start, cue.end] = [start + shift, end + shift];
    } else if (way === "start") {
      cue.start = Math.min(Math.max(pulled(start + by) ?? Math.round(start + by), 0), end - SHORTEST);
      if (end - SHORTEST < 0) cue.start = start;
    } else {
      cue.end = Math.max(pulled(end + by) ?? Math.round(end + by), start + SHORTEST);
    }
  }

  // With the pointer.
  let drag = null;
  function wayOf(node, event) {
    const box = node.getBoundingClientRect(), edge = Math.min(EDGE, box.width / 4);
    if (event.clientX - box.left < edge) return "start";
    return box.right - event.clientX < edge ? "end" : "move";
  }

  track.addEventListener("pointerdown", (event) => {
    const node = event.target.closest(".nr-cue"), cue = cueOf(node);
    if (event.button) return;
    if (!cue) return document.dispatchEvent(new CustomEvent("nr-seek", { detail: NrTimeline.timeAt(event.clientX) }));
    NrTimeline.chosen = cue.key;
    NrTimeline.reachable();
    if (!may) return;
    // A finger scrolls, until the cue is chosen.
    if (event.pointerType === "touch" && node !== document.activeElement) return;
    node.setPointerCapture(event.pointerId);
    drag = { node, cue, from: NrTimeline.timeAt(event.clientX), x: event.clientX, was: [cue.start, cue.end], way: wayOf(node, event), moved: false };
  });

  track.addEventListener("pointermove", (event) => {
    const node = event.target.closest(".nr-cue");
    if (!drag) return node && may ? node.classList.toggle("nr-cue-edge", wayOf(node, event) !== "move") : undefined;
    if (!drag.moved && Math.abs(event.clientX - drag.x) < 3) return undefined;
    drag.moved = true;
    NrCues.held.add(drag.cue.key);
    put(drag.cue, drag.was, drag.way, NrTimeline.timeAt(event.clientX) - drag.from, event.altKey);
    return NrCues.changed();
  });

  function end(kept) {
    const { cue, was, moved } = drag;
    drag = null;
    NrCues.held.delete(cue.key);
    if (!kept) [cue.start, cue.end] = was;
    if (moved && kept) NrCues.commit(cue, was);
    NrCues.changed();
  }
  track.addEventListener("pointerup", () => { if (drag) end(true); });
  track.addEventListener("pointercancel", () => { if (drag) end(false); });
  track.addEventListener("click", (event) => {
    const cue = cueOf(event.target.closest(".nr-cue"));
    if (cue) NrTimeline.focus(cue);
  });
  track.addEventListener("dblclick", (event) => { open(cueOf(event.target.closest(".nr-cue"))); });

  // The line of a cue, on the page or on another one.
  function open(cue) {
    const place = cue && document.getElementById(`nr-place-${cue.key}`);
    if (!cue) return;
    if (!place) location.assign(`${root.dataset.nrLines}?key=${cue.key}`);
    else (place.querySelector("[data-nr-edit]") ?? place.querySelector("[data-nr-line]")).click();
    place?.scrollIntoView({ block: "center" });
  }

  // With the keyboard.
  function nudge(cue, event) {
    const way = event.shiftKey ? "start" : event.ctrlKey || event.metaKey ? "end" : "move";
    const by = event.key === "ArrowLeft" ? -STEP : STEP, was = [cue.start, cue.end];
    put(cue, was, way, by, true);
    NrCues.commit(cue, was, way);
    NrTimeline.focus(cue);
    say(NrTimeline.span(cue));
  }

  function step(cue, by) {
    const other = NrCues.list[NrCues.list.indexOf(cue) + by];
    if (other) NrTimeline.focus(other);
  }

  function change(name) {
    const cue = NrCues[name]();
    if (cue) NrTimeline.focus(cue);
    say(cue ? NrTimeline.span(cue) : root.dataset[name === "undo" ? "nrNoUndo" : "nrNoRedo"]);
  }

  root.addEventListener("keydown", (event) => {
    const cue = cueOf(event.target.closest(".nr-cue")), command = event.ctrlKey || event.metaKey, key = event.key.toLowerCase();
    if (event.altKey) return;
    if (command && may && (key === "z" || key === "y")) change(key === "y" || event.shiftKey ? "redo" : "undo");
    else if (!cue) return;
    else if (key === "escape" && drag) end(false);
    else if (may && (key === "arrowleft" || key === "arrowright")) nudge(cue, event);
    else if (key === "arrowup" || key === "arrowdown") step(cue, key === "arrowup" ? -1 : 1);
    else if (key === "home" || key === "end") NrTimeline.focus(NrCues.list.at(key === "home" ? 0 : -1));
    else if (key === "enter") open(cue);
    else if (key === " ") document.dispatchEvent(new CustomEvent("nr-play-from", { detail: cue.start }));
    else return;
    event.preventDefault();
  });
  root.addEventListener("focusin", (event) => {
    const cue = cueOf(event.target.closest(".nr-cue"));
    if (cue && cue.key !== NrTimeline.chosen) {
      NrTimeline.chosen = cue.key;
      NrTimeline.reachable();
    }
  });
  for (const name of may ? ["undo", "redo"] : []) {
    root.querySelector(`[data-nr-${name}]`).addEventListener("click", () => change(name));
  }

  function buttons() {
    if (!may) return;
    const late = NrCues.list.filter((cue) => cue.over > 0).length, faster = document.getElementById("nr-faster-all");
    faster.hidden = !late;
    faster.textContent = faster.dataset.nrSome.replace("{count}", late);
    root.querySelector("[data-nr-undo]").disabled = !NrCues.done.length;
    root.querySelector("[data-nr-redo]").disabled = !NrCues.undone.length;
  }
  document.addEventListener("nr-cues", () => {
    root.querySelector(".nr-time-empty").hidden = NrCues.list.length > 0;
    buttons();
  });
  document.addEventListener("nr-cues-saved", ({ detail }) => {
    if (detail !== "saved") say(root.dataset[`nr${detail[0].toUpperCase()}${detail.slice(1)}`]);
  });
});
