"use strict";

// Sentences that are not made yet: the server is asked for a few ahead of the one that is heard.
class NrMaker {
  constructor(bar, form) {
    this.ahead = Number(bar.dataset.nrAhead);
    this.address = bar.dataset.nrMake;
    this.form = form;
    this.refusals = new Map();
  }

  static isOpen(sentence) {
    return ["queued", "running"].includes(sentence.dataset.nrState);
  }

  static speaks(sentence) {
    return sentence.dataset.nrSilent === undefined;
  }

  // Not what is just made anew.
  static soundOf(sentence) {
    return NrMaker.isOpen(sentence) ? "" : sentence.dataset.nrSound ?? "";
  }

  // True where so many milliseconds went by before anything about the sentences changed.
  static change(wait) {
    return new Promise((done) => {
      const end = (event) => {
        clearTimeout(timer);
        for (const name of ["nr-painted", "nr-shown"]) document.removeEventListener(name, end);
        done(!event);
      };
      const timer = setTimeout(end, wait);
      for (const name of ["nr-painted", "nr-shown"]) document.addEventListener(name, end);
    });
  }

  // What may still be heard: it is there, it is being made, or it can be asked for.
  mayBeHeard(sentence) {
    return NrMaker.speaks(sentence) && (this.ahead > 0 || NrMaker.isOpen(sentence) || Boolean(NrMaker.soundOf(sentence)));
  }

  wants(pk) {
    const next = NrBook.from(pk).filter(NrMaker.speaks).slice(0, this.ahead + 1);
    return this.ahead > 0 && (next.some((one) => one.dataset.nrState !== "done") || (next.length <= this.ahead && NrBook.hasMore()));
  }

  // Have the sentence and the next ones made. "" where that went well, else "lost", "gone" or "signedOut".
  async ask(pk, again) {
    const body = new FormData(this.form);
    body.set("line", pk);
    if (again) body.set("again", "yes");
    const answer = await fetch(this.address, { method: "POST", body }).catch(() => null);
    if (!answer) return "lost";
    if (answer.status === 404) return "gone";
    if (!answer.ok || answer.redirected) return answer.status < 500 ? "signedOut" : "lost";
    this.#take(await answer.json().catch(() => ({ gone: true })));
    return "";
  }

  #take({ gone, rows = {}, refusals = {} }) {
    if (gone) document.dispatchEvent(new Event("nr-renew"));
    for (const [pk, html] of Object.entries(rows)) {
      const template = Object.assign(document.createElement("template"), { innerHTML: html });
      NrLines.morph(NrBook.sentence(pk), template.content.firstElementChild);
      this.refusals.delete(pk);
    }
    for (const [pk, reason] of Object.entries(refusals)) this.refusals.set(pk, reason);
    document.dispatchEvent(new Event("nr-painted"));
  }

  reason(sentence) {
    return sentence.dataset.nrReason ?? this.refusals.get(NrBook.keyOf(sentence)) ?? "";
  }
}
