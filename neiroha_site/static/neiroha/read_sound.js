"use strict";

// Two voices: while one is heard, the other has the next sentence loaded.
class NrVoices extends EventTarget {
  constructor(elements) {
    super();
    this.voices = elements;
    this.at = 0;
    this.rate = 1;
    for (const voice of elements) {
      voice.preservesPitch = true;
      for (const name of ["ended", "timeupdate", "play", "pause"]) {
        voice.addEventListener(name, () => { if (voice === this.voice) this.dispatchEvent(new Event(name)); });
      }
    }
  }

  get voice() {
    return this.voices[this.at];
  }

  get other() {
    return this.voices[1 - this.at];
  }

  setRate(rate) {
    this.rate = rate;
    for (const voice of this.voices) voice.defaultPlaybackRate = voice.playbackRate = rate;
  }

  // Have the next audio loaded; "" where none is known yet.
  prepare(address) {
    if ((this.other.dataset.nrSound ?? "") === address) return;
    this.#load(this.other, address);
  }

  #load(voice, address) {
    voice.dataset.nrSound = address;
    if (address) voice.src = address;
    else voice.removeAttribute("src");
    voice.load();
    voice.playbackRate = this.rate;
  }

  has(address) {
    return this.other.dataset.nrSound === address && !this.other.error;
  }

  // Whether something is loaded that is not heard to its end.
  get canGoOn() {
    return Boolean(this.voice.dataset.nrSound) && !this.voice.ended;
  }

  // Play from the beginning. "" once it is heard, else "blocked", "left", "lost", "gone", "signedOut" or "broken".
  async play(address) {
    this.voice.pause();
    if (this.has(address)) this.at = 1 - this.at;
    else this.#load(this.voice, address);
    const voice = this.voice;
    try {
      voice.currentTime = 0;
      await voice.play();
      return "";
    } catch (problem) {
      if (problem.name === "AbortError") return "left";
      if (problem.name === "NotAllowedError") return "blocked";
      delete voice.dataset.nrSound;
      return NrVoices.reason(address);
    }
  }

  resume() {
    return this.voice.play();
  }

  pause() {
    this.voice.pause();
  }

  static async reason(address) {
    const answer = await fetch(address, { method: "HEAD", cache: "no-store" }).catch(() => null);
    if (!answer) return "lost";
    if (answer.redirected || answer.status === 403) return "signedOut";
    return answer.ok ? "broken" : "gone";
  }
}
