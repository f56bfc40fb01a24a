"use strict";

// A project as a book: the page of it that is shown, the one behind it, which waits hidden, and the sentence that is
// marked. Events on the document: "nr-shown" after text was put on the page, "nr-renew" to have it read again.
const NrLines = {
  // What this script put on an element stays.
  keep: { beforeAttributeUpdated: (name) => !["tabindex", "aria-current"].includes(name) },

  morph(old, fresh) {
    if (old && fresh) Idiomorph.morph(old, fresh, { morphStyle: "outerHTML", callbacks: NrLines.keep });
  },
};

const NrBook = {
  now: "",
  // The marked sentence is one that was not heard yet, in place of another that is gone.
  fresh: false,
  NEAR: 12,

  spread: () => document.querySelector(".nr-read-main > .nr-spread"),
  behind: () => document.querySelector("#nr-behind > .nr-spread"),
  sentence: (pk) => document.getElementById(`nr-line-${pk}`),
  keyOf: (sentence) => sentence.dataset.nrLine,
  onPage: () => [...NrBook.spread().querySelectorAll("[data-nr-line]")],
  // On this page and the one behind it.
  known: () => [...document.querySelectorAll(".nr-read-main [data-nr-line]")],
  hasMore: () => Boolean(NrBook.spread().querySelector("a[rel='next']")),

  // The sentences from one on, itself first.
  from(pk) {
    const all = NrBook.known();
    return all.slice(Math.max(all.findIndex((one) => NrBook.keyOf(one) === pk), 0));
  },

  async read(address) {
    const answer = await fetch(address);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = page.getElementById("nr-part");
    if (!answer.ok || !part) throw Object.assign(new Error(answer.status), { status: answer.redirected ? 403 : answer.status });
    return { page, part, spread: page.querySelector(".nr-spread") };
  },

  mark(pk, focus = false) {
    const before = NrBook.sentence(NrBook.now), sentence = NrBook.sentence(pk);
    for (const one of document.querySelectorAll(".nr-say[aria-current]")) {
      one.removeAttribute("aria-current");
      one.tabIndex = -1;
    }
    NrBook.now = pk;
    if (!sentence) return;
    sentence.setAttribute("aria-current", "true");
    sentence.tabIndex = 0;
    if (focus) sentence.focus({ preventScroll: true });
    // Whoever scrolled elsewhere stays there.
    if (focus || !before || before === sentence || NrBook.inSight(before)) NrBook.bring(sentence);
  },

  inSight(sentence) {
    const box = sentence.getBoundingClientRect();
    return box.bottom > 60 && box.top < innerHeight - 130;
  },

  bring(sentence) {
    if (NrBook.inSight(sentence)) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    sentence.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
  },

  // Put a page of text in place of the one that is shown; its first sentence.
  show(spread) {
    NrBook.spread().replaceWith(spread);
    document.getElementById("nr-behind").replaceChildren();
    for (const link of document.querySelectorAll("[data-nr-turn][aria-current]")) link.removeAttribute("aria-current");
    document.getElementById(`nr-to-chapter-${spread.dataset.nrChapter}`)?.setAttribute("aria-current", "true");
    for (const next of document.querySelectorAll("#nr-read-acts [name='next']")) next.value = spread.dataset.nrPage;
    NrBook.prepare();
    document.dispatchEvent(new Event("nr-shown"));
    return NrBook.keyOf(NrBook.onPage()[0]);
  },

  async turn(address, push = true) {
    const { page, part } = await NrBook.read(address);
    document.getElementById("nr-part").dataset.nrStamp = part.dataset.nrStamp;
    const first = NrBook.show(document.adoptNode(part.querySelector(".nr-spread")));
    if (push) history.pushState(null, "", address);
    // Of a page that was asked for by a sentence, that one.
    return new URL(address, location.href).searchParams.has("line") ? page.getElementById("nr-reader")?.dataset.nrHere ?? first : first;
  },

  // The next page, which is there already where it was fetched in time; "" behind the last, or where it is not wanted
  // any more once it came.
  async turnOn(wanted) {
    if (!NrBook.hasMore()) return "";
    await NrBook.fetchBehind();
    const spread = NrBook.behind();
    if (!spread || !wanted()) return "";
    const first = NrBook.show(spread);
    history.replaceState(null, "", spread.dataset.nrPage);
    scrollTo({ top: 0 });
    return first;
  },

  fetching: null,
  fetchBehind() {
    const link = NrBook.spread().querySelector("a[rel='next']");
    if (!link || NrBook.behind()) return Promise.resolve();
    NrBook.fetching ??= NrBook.read(link.href).then(({ spread }) => {
      // Meanwhile the reader may be elsewhere.
      if (!link.isConnected) return;
      document.getElementById("nr-behind").replaceChildren(document.adoptNode(spread));
      NrBook.prepare();
      document.dispatchEvent(new Event("nr-shown"));
    }).finally(() => { NrBook.fetching = null; });
    return NrBook.fetching;
  },

  // Lines came, went or moved: the page on which the marked sentence is now, or what is heard in its place.
  async renew() {
    const order = NrBook.from(NrBook.now).map(NrBook.keyOf);
    let found = await NrBook.read(`?line=${NrBook.now}`);
    if (!found.page.getElementById(`nr-line-${NrBook.now}`)) found = await NrBook.read(NrBook.spread().dataset.nrPage);
    const { part, page, spread } = found;
    document.getElementById("nr-part").dataset.nrStamp = part.dataset.nrStamp;
    NrLines.morph(document.querySelector(".nr-read-list"), page.querySelector(".nr-read-list"));
    document.getElementById("nr-behind").replaceChildren();
    const now = order.find((pk) => page.getElementById(`nr-line-${pk}`)) ?? NrBook.keyOf(spread.querySelector("[data-nr-line]"));
    if (NrBook.spread().id === spread.id) NrLines.morph(NrBook.spread(), spread);
    else NrBook.spread().replaceWith(document.adoptNode(spread));
    NrBook.fresh ||= now !== NrBook.now;
    NrBook.prepare();
    NrBook.mark(now);
    document.dispatchEvent(new Event("nr-shown"));
  },

  // One stop of the tab key for the whole text.
  prepare() {
    for (const one of NrBook.known()) if (!one.hasAttribute("aria-current")) one.tabIndex = -1;
  },
};

document.addEventListener("DOMContentLoaded", () => {
  if (!NrBook.spread()) return;
  const side = document.getElementById("nr-chapters");
  if (matchMedia("(max-width: 900px)").matches) side.open = false;
  else document.querySelector(".nr-read-list [aria-current]")?.scrollIntoView({ block: "nearest" });
  if (!document.getElementById("nr-reader")) document.addEventListener("nr-renew", () => NrBook.renew().catch(() => {}));

  // Generating and cancelling, without leaving the page.
  const form = document.getElementById("nr-read-acts"), notes = document.getElementById("nr-notes");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new FormData(form, event.submitter);
    try {
      const answer = await fetch(form.action, { method: "POST", body });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok || !page.getElementById("nr-part")) throw new Error(answer.status);
      NrLines.morph(notes, page.getElementById("nr-notes"));
    } catch {
      const text = Object.assign(document.createElement("p"), { className: "nr-notice", textContent: notes.dataset.nrFailed });
      text.setAttribute("role", "alert");
      notes.replaceChildren(text);
    }
    notes.scrollIntoView({ block: "nearest" });
  });
});
