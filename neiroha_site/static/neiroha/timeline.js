"use strict";

// Draws the cues on a ruler of time: only those in sight, however many there are. `head` is where playing stands.
const NrTimeline = {
  head: 0,
  scale: 0.06,
  chosen: 0,
  cues: new Map(),

  open(root) {
    this.root = root;
    this.scroll = root.querySelector(".nr-time-scroll");
    this.track = root.querySelector(".nr-time-track");
    this.ruler = root.querySelector(".nr-time-ruler");
    this.hand = root.querySelector(".nr-time-head");
    this.clock = root.querySelector(".nr-time-clock");
    this.waiting = 0;
    this.scroll.addEventListener("scroll", () => this.soon());
    new ResizeObserver(() => this.soon()).observe(this.scroll);
    document.addEventListener("nr-cues", () => this.soon());
    root.querySelector("[data-nr-closer]").addEventListener("click", () => this.zoom(1.6));
    root.querySelector("[data-nr-wider]").addEventListener("click", () => this.zoom(1 / 1.6));
    this.scroll.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - this.scroll.getBoundingClientRect().left);
    }, { passive: false });
  },

  // Milliseconds of the whole: some room behind the last cue, to move it there.
  get length() {
    const last = NrCues.list.reduce((latest, cue) => Math.max(latest, cue.end), 0);
    return Math.max(1000 * (NrCues.total ?? 0), last + 10_000, 30_000);
  },

  timeAt(clientX) {
    return Math.max((clientX - this.scroll.getBoundingClientRect().left + this.scroll.scrollLeft) / this.scale, 0);
  },

  // Pixels for a millisecond; what stands at `at`, in the middle if nothing is said, stays there.
  zoom(factor, at = this.scroll.clientWidth / 2) {
    const time = (this.scroll.scrollLeft + at) / this.scale;
    this.scale = Math.min(Math.max(this.scale * factor, 0.002), 0.5);
    this.size();
    this.scroll.scrollLeft = time * this.scale - at;
    this.draw();
  },

  size() {
    this.track.style.width = `${Math.ceil(this.length * this.scale)}px`;
    this.track.style.setProperty("--nr-lanes", NrCues.list.reduce((most, cue) => Math.max(most, cue.lane + 1), 1));
  },

  soon() {
    this.waiting ||= requestAnimationFrame(() => {
      this.waiting = 0;
      this.size();
      this.draw();
    });
  },

  draw() {
    const width = this.scroll.clientWidth, left = this.scroll.scrollLeft;
    const from = (left - width / 2) / this.scale, to = (left + 1.5 * width) / this.scale;
    const shown = new Set();
    for (let at = NrCues.firstFrom(from - NrCues.longest); NrCues.list[at]?.start < to; at++) {
      const cue = NrCues.list[at];
      if (cue.end < from) continue;
      shown.add(cue.key);
      this.paint(cue);
    }
    for (const [key, node] of this.cues) {
      if (shown.has(key) || (node === document.activeElement && NrCues.byKey.has(key))) continue;
      node.remove();
      this.cues.delete(key);
    }
    this.reachable();
    this.tick(Math.max(left / this.scale, 0), (left + width) / this.scale);
    this.point();
  },

  // One cue is reached by the tab key, the others from it by arrows.
  reachable() {
    if (!this.cues.has(this.chosen)) this.chosen = this.cues.keys().next().value ?? 0;
    for (const [key, node] of this.cues) node.tabIndex = key === this.chosen ? 0 : -1;
  },

  paint(cue) {
    const node = this.cues.get(cue.key) ?? this.make(cue);
    const words = node.lastElementChild, text = cue.who ? `${cue.who}: ${cue.text}` : cue.text;
    node.style.left = `${cue.start * this.scale}px`;
    node.style.width = `${Math.max((cue.end - cue.start) * this.scale, 4)}px`;
    node.dataset.nrLane = cue.lane;
    node.dataset.nrTone = cue.tone;
    node.classList.toggle("nr-cue-late", cue.over > 0);
    node.classList.toggle("nr-cue-crossed", cue.crossed);
    node.style.setProperty("--nr-speech", cue.speech ? `${Math.min((100_000 * cue.speech) / cue.rate / (cue.end - cue.start), 100)}%` : "0%");
    const label = [`${NrTimeline.span(cue)} ${text}`, ...this.faults(cue)].join(", ");
    if (node.getAttribute("aria-label") !== label) node.setAttribute("aria-label", label);
    node.title = label;
    if (words.textContent !== text) words.textContent = text;
  },

  make(cue) {
    const node = document.createElement("button");
    node.type = "button";
    node.className = "nr-cue";
    node.dataset.nrCue = cue.key;
    node.setAttribute("aria-describedby", "nr-time-help");
    const words = document.createElement("span");
    words.className = "nr-cue-words";
    words.dir = "auto";
    node.append(words);
    this.track.append(node);
    this.cues.set(cue.key, node);
    return node;
  },

  faults(cue) {
    const told = this.root.dataset, found = [];
    if (cue.over > 0) found.push(told.nrOver.replace("{seconds}", (Math.ceil(cue.over * 10 - 1e-9) / 10).toFixed(1)));
    if (cue.rate > 1) found.push(told.nrStretched.replace("{factor}", cue.rate.toFixed(2)));
    if (cue.crossed) found.push(told.nrCrossed);
    return found;
  },

  // Marks of time, about as far apart as their words need.
  tick(from, to) {
    const steps = [100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000];
    const step = steps.find((each) => each * this.scale >= 90) ?? steps.at(-1), marks = [];
    for (let time = Math.floor(from / step) * step; time <= to; time += step) {
      const mark = document.createElement("span");
      mark.style.left = `${time * this.scale}px`;
      mark.textContent = this.write(time, step < 1000 ? 1 : 0);
      marks.push(mark);
    }
    this.ruler.replaceChildren(...marks);
  },

  point() {
    this.hand.style.left = `${this.head * this.scale}px`;
    this.clock.textContent = this.write(this.head, 1);
  },

  // 0:01:02.500, with so many digits of a second.
  write(time, digits = 3) {
    const whole = Math.floor(time / 1000), rest = String(Math.floor(time % 1000)).padStart(3, "0").slice(0, digits);
    const parts = [Math.floor(whole / 3600), String(Math.floor(whole / 60) % 60).padStart(2, "0"), String(whole % 60).padStart(2, "0")];
    return parts.join(":") + (digits ? `.${rest}` : "");
  },

  span(cue) {
    return `${this.write(cue.start)} – ${this.write(cue.end)}`;
  },

  // Bring a time into sight.
  reveal(time, margin = 60) {
    const x = time * this.scale, { scrollLeft, clientWidth } = this.scroll;
    if (x < scrollLeft + margin || x > scrollLeft + clientWidth - margin) this.scroll.scrollLeft = x - clientWidth / 3;
  },

  focus(cue) {
    this.chosen = cue.key;
    this.reveal(cue.start);
    this.draw();
    this.cues.get(cue.key)?.focus({ preventScroll: true });
  },
};
