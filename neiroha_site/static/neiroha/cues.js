"use strict";

// The cues of a project with their times: how speech fits, what is changed, undone and saved, and what others change.
// Times are milliseconds. Events on the document: "nr-cues" after anything changed, "nr-cues-saved" with how it went.
const NrCues = {
  list: [],
  byKey: new Map(),
  longest: 0,

  open(root) {
    this.address = root.dataset.nrCues;
    this.token = root.querySelector("[name='csrfmiddlewaretoken']")?.value ?? "";
    Object.assign(this, { stretch: 1.2, total: null, pending: new Set(), held: new Set(), done: [], undone: [] });
    Object.assign(this, { timer: 0, saving: null, missed: false });
    document.addEventListener("nr-told", ({ detail }) => this.hear(detail));
    // What waits is sent even if the page is left.
    addEventListener("pagehide", () => this.save(true));
    addEventListener("beforeunload", (event) => { if (this.pending.size || this.saving) event.preventDefault(); });
    return this.read();
  },

  async read() {
    const answer = await fetch(this.address);
    if (!answer.ok) return;
    const told = await answer.json(), there = new Set(told.cues.map(([key]) => key));
    this.stretch = told.stretch;
    this.total = told.total;
    for (const key of this.byKey.keys()) if (!there.has(key)) this.drop(key);
    this.take(told.cues);
  },

  // As others, or the server, have it; what this page is about to save stays as it is here.
  take(rows) {
    for (const [key, start, end, speech, take, tone, who, text] of rows) {
      const cue = this.byKey.get(key) ?? { key, start, end };
      const mine = this.pending.has(key) || this.held.has(key);
      if (!mine) Object.assign(cue, { start, end });
      if (!mine || !cue.saved) cue.saved = [start, end];
      else if (![cue.saved, [cue.start, cue.end]].some((known) => known[0] === start && known[1] === end)) this.missed = true;
      this.byKey.set(key, Object.assign(cue, { speech, take, tone, who, text }));
    }
    this.changed();
  },

  drop(key) {
    this.byKey.delete(key);
    this.pending.delete(key);
    this.forget(key);
  },

  hear({ cues, structure }) {
    if (Array.isArray(cues)) this.take(cues);
    if (cues === null || structure) this.renew();
  },

  // A moment later, once, however often it is asked for.
  renew() {
    clearTimeout(this.renewing);
    this.renewing = setTimeout(() => this.read().catch(() => {}), 300);
  },

  changed() {
    this.fit();
    document.dispatchEvent(new Event("nr-cues"));
  },

  // As studio/fitting.py has it: a cue has its own time and the silence behind it, up to the next cue or the end of the
  // recording; where another is still speaking there is no silence. Cues that cross stand below each other.
  fit() {
    const list = this.list = [...this.byKey.values()].sort((a, b) => a.start - b.start || a.key - b.key);
    const lanes = [-Infinity, -Infinity, -Infinity], ends = [-Infinity];
    let last = null;
    this.longest = 0;
    for (const cue of list) {
      ends.push(Math.max(ends.at(-1), cue.end));
      this.longest = Math.max(this.longest, cue.end - cue.start);
      cue.lane = Math.max(lanes.findIndex((end) => end <= cue.start), 0);
      lanes[cue.lane] = cue.end;
      cue.crossed = false;
      if (last && cue.start < last.end) cue.crossed = last.crossed = true;
      if (!last || cue.end > last.end) last = cue;
    }
    for (const cue of list) {
      const following = this.firstFrom(cue.end);
      let limit = list[following]?.start ?? Infinity;
      if (ends[following] > cue.end) limit = cue.end;
      if (this.total !== null) limit = Math.min(limit, 1000 * this.total);
      const room = (limit - cue.start) / 1000, needed = cue.speech > room + 0.001 ? cue.speech / room : 1;
      cue.rate = room > 0 ? Math.min(needed, this.stretch) : needed > 1 ? this.stretch : 1;
      cue.over = needed > this.stretch || room <= 0 && cue.speech > 0 ? Math.max(cue.speech / this.stretch - room, 0) : 0;
    }
  },

  // The place of the first cue that starts at a time, or later.
  firstFrom(time) {
    let low = 0, high = this.list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.list[middle].start < time) low = middle + 1;
      else high = middle;
    }
    return low;
  },

  // Changing. `before` is [start, end] as it was when the change began; nudges in a row are one change.
  commit(cue, before, nudge = "") {
    if (before[0] === cue.start && before[1] === cue.end) return;
    const last = this.done.at(-1), now = Date.now();
    if (nudge && last?.key === cue.key && last.nudge === nudge && now - last.at < 1000) Object.assign(last, { to: [cue.start, cue.end], at: now });
    else this.done.push({ key: cue.key, from: before, to: [cue.start, cue.end], nudge, at: now });
    this.undone.length = 0;
    this.wait(cue);
  },

  wait(cue) {
    this.pending.add(cue.key);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), 400);
    this.changed();
  },

  undo() { return this.step(this.done, this.undone, "to", "from"); },
  redo() { return this.step(this.undone, this.done, "from", "to"); },

  // The cue that changed; null where nothing is left, or somebody else has changed it since.
  step(stack, other, is, becomes) {
    const change = stack.pop(), cue = change && this.byKey.get(change.key);
    if (!cue || cue.start !== change[is][0] || cue.end !== change[is][1]) return null;
    [cue.start, cue.end] = change[becomes];
    other.push({ ...change, nudge: "" });
    this.wait(cue);
    return cue;
  },

  forget(key) {
    for (const stack of [this.done, this.undone]) stack.splice(0, stack.length, ...stack.filter((change) => change.key !== key));
  },

  // One request after another, of at most so many cues.
  async save(leaving = false) {
    clearTimeout(this.timer);
    if (this.saving && !leaving) return this.saving.then(() => this.save());
    const sent = [...this.pending].slice(0, 300).map((key) => this.byKey.get(key));
    if (!sent.length) return undefined;
    const body = JSON.stringify({ cues: sent.map((cue) => ({ line: cue.key, was: cue.saved, now: [cue.start, cue.end] })) });
    for (const cue of sent) this.pending.delete(cue.key);
    this.saving = this.send(sent, body, leaving).finally(() => { this.saving = null; });
    return this.saving;
  },

  async send(sent, body, keepalive) {
    const now = new Map(sent.map((cue) => [cue.key, [cue.start, cue.end]]));
    for (const cue of sent) this.held.add(cue.key);
    let outcome = "saved";
    try {
      const headers = { "Content-Type": "application/json", "X-CSRFToken": this.token };
      const answer = await fetch(this.address, { method: "POST", headers, body, keepalive });
      const met = answer.ok ? (await answer.json()).met : null;
      if (met === null) outcome = "refused";
      else if (Object.keys(met).length) outcome = "met";
      for (const cue of sent) {
        if (met) cue.saved = now.get(cue.key);
        else this.yieldTo(cue.key, cue.saved);
      }
      for (const [key, times] of Object.entries(met ?? {})) this.yieldTo(Number(key), times);
    } catch {
      // No network: what was changed stays, and is tried again.
      outcome = "offline";
      for (const cue of sent) this.pending.add(cue.key);
      this.timer = setTimeout(() => this.save(), 5000);
    }
    for (const cue of sent) this.held.delete(cue.key);
    if (this.missed) this.renew();
    this.missed = false;
    this.changed();
    document.dispatchEvent(new CustomEvent("nr-cues-saved", { detail: outcome }));
  },

  // Somebody else was first.
  yieldTo(key, times) {
    const cue = this.byKey.get(key);
    this.forget(key);
    this.pending.delete(key);
    if (!times || times[0] === null) return this.drop(key);
    return Object.assign(cue, { start: times[0], end: times[1], saved: times });
  },
};
