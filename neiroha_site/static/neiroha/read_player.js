"use strict";

// Listening: sentence after sentence, over the pages. What is not made yet is waited for; what can't be made is skipped,
// after saying why. `NrPlayer` is null where nobody may listen.
let NrPlayer = null;
document.addEventListener("DOMContentLoaded", () => {
  const bar = document.getElementById("nr-reader");
  if (!bar || !NrBook.spread()) return;
  const ASK_AGAIN = 4000, SAY_WHY = 1500, MOST_SKIPPED = 3;
  const news = document.getElementById("nr-reader-news");
  const sound = new NrVoices([...bar.querySelectorAll("[data-nr-voice]")]);
  const maker = new NrMaker(bar, document.getElementById("nr-reader-form"));
  // `turn` grows with each sentence that is begun, so that what was begun before knows that it is over.
  // `chosen`: the sentence is one that was pressed.
  let playing = false, chosen = false, loaded = "", turn = 0, skipped = 0;

  function tell(what, more = "") {
    news.textContent = what ? news.dataset[what] + more : "";
    bar.dataset.nrState = what || (playing ? "playing" : "paused");
  }

  function show() {
    const button = document.getElementById("nr-play");
    button.firstElementChild.textContent = playing ? "pause" : "play_arrow";
    button.querySelector("[data-nr-word]").textContent = playing ? button.dataset.nrPause : loaded ? button.dataset.nrResume : button.dataset.nrListen;
    bar.dispatchEvent(new CustomEvent("nr-playing", { detail: playing }));
  }

  function stop(what = "", more = "") {
    turn++;
    playing = false;
    sound.pause();
    tell(what, more);
    show();
  }

  // The address of a sentence's audio, once it is there; "" where that is not wanted any more. Throws an Error that says
  // why there is none.
  async function audioOf(pk, mine, again) {
    let asking = again || maker.wants(pk) ? maker.ask(pk, again) : null;
    if (!again && NrBook.sentence(pk).dataset.nrState === "done") asking = null;
    for (;;) {
      const problem = asking ? await asking : "", sentence = NrBook.sentence(pk);
      if (mine !== turn || !sentence) return "";
      if (problem === "gone" || problem === "signedOut") return stop(problem) ?? "";
      if (NrMaker.soundOf(sentence)) return sentence.dataset.nrSound;
      if (!NrMaker.isOpen(sentence) && problem !== "lost") {
        throw new Error(maker.reason(sentence) || (document.getElementById("nr-read-acts") ? news.dataset.none : news.dataset.viewer));
      }
      tell(problem || "waiting", sentence.dataset.nrPause ?? "");
      const quiet = await NrMaker.change(ASK_AGAIN);
      asking = maker.ahead > 0 && (quiet || problem) ? maker.ask(pk, false) : null;
    }
  }

  async function hear(pk, again = false) {
    const mine = ++turn;
    playing = true;
    chosen = again;
    NrBook.fresh = false;
    NrBook.mark(pk);
    sound.pause();
    show();
    const sentence = NrBook.sentence(pk), onPage = NrBook.onPage();
    if (onPage.length - onPage.indexOf(sentence) <= NrBook.NEAR) NrBook.fetchBehind().catch(() => {});
    if (!NrMaker.speaks(sentence)) return advance();
    try {
      const address = await audioOf(pk, mine, again && sentence.dataset.nrState === "failed");
      if (address && mine === turn) await begin(pk, address, mine);
    } catch (problem) {
      if (mine === turn) await skip(problem.message, mine);
    }
  }

  async function begin(pk, address, mine) {
    tell(sound.has(address) ? "" : "loading");
    const problem = await sound.play(address);
    if (mine !== turn || problem === "left") return null;
    if (problem === "blocked" || problem === "signedOut") return stop(problem);
    if (problem) return missed(pk, problem, mine);
    loaded = pk;
    skipped = 0;
    tell("");
    prepare();
    return bar.dispatchEvent(new CustomEvent("nr-heard", { detail: chosen }));
  }

  // A file that did not come: the connection is away, the take was deleted, or nobody can play it.
  async function missed(pk, why, mine) {
    const before = NrBook.sentence(pk)?.dataset.nrSound;
    if (why === "lost") {
      tell("lost");
      await NrMaker.change(ASK_AGAIN);
    } else {
      await renew();
    }
    if (mine !== turn) return null;
    if (why !== "lost" && NrBook.sentence(pk)?.dataset.nrSound === before) return skip(news.dataset.broken, mine);
    return hear(NrBook.now);
  }

  async function skip(why, mine) {
    tell("skipped", why);
    if (++skipped >= MOST_SKIPPED) return stop("stopped", ` ${why}`);
    await new Promise((done) => { setTimeout(done, SAY_WHY); });
    if (mine !== turn) return null;
    const more = NrBook.from(NrBook.now).slice(1).some((one) => maker.mayBeHeard(one));
    return more || (maker.ahead > 0 && NrBook.hasMore()) ? advance() : stop("skipped", why);
  }

  // To the next sentence: pages and chapters turn by themselves.
  async function advance() {
    const mine = turn, chapter = NrBook.spread().dataset.nrChapter, onPage = NrBook.onPage();
    const rest = onPage.slice(onPage.indexOf(NrBook.sentence(NrBook.now)) + (NrBook.fresh ? 0 : 1));
    const found = rest.find((one) => maker.mayBeHeard(one));
    const next = found ? NrBook.keyOf(found) : await turned(mine);
    if (mine !== turn) return null;
    if (!next) return stop("end");
    const going = new CustomEvent("nr-next", { cancelable: true, detail: NrBook.spread().dataset.nrChapter !== chapter });
    if (bar.dispatchEvent(going)) return hear(next);
    NrBook.mark(next);
    return stop("slept");
  }

  // The first sentence of the next page; "" behind the last.
  async function turned(mine) {
    for (;;) {
      try {
        return await NrBook.turnOn(() => mine === turn);
      } catch (problem) {
        if (mine !== turn) return "";
        if (problem.status === 404) return stop("gone") ?? "";
        tell("lost");
        await NrMaker.change(ASK_AGAIN);
      }
    }
  }

  function prepare() {
    if (!playing) return;
    const next = NrBook.from(NrBook.now).slice(1).find((one) => maker.mayBeHeard(one));
    sound.prepare(next ? NrMaker.soundOf(next) : "");
  }

  const renew = () => NrBook.renew().catch((problem) => { if (problem.status === 404) stop("gone"); });

  function toggle() {
    skipped = 0;
    if (playing) return stop();
    if (loaded !== NrBook.now || !sound.canGoOn) return hear(NrBook.now, true);
    playing = true;
    show();
    tell("");
    return sound.resume().catch(() => hear(NrBook.now, true));
  }

  sound.addEventListener("ended", () => { if (playing) advance(); });
  // The system's wish, such as that of another program that is heard now.
  sound.addEventListener("pause", () => {
    if (playing && loaded === NrBook.now && sound.canGoOn && sound.voice.paused && bar.dataset.nrState === "playing") stop();
  });
  document.addEventListener("nr-painted", prepare);
  document.addEventListener("nr-shown", prepare);
  document.addEventListener("nr-renew", renew);
  NrBook.mark(bar.dataset.nrHere);
  bar.hidden = false;
  show();
  NrPlayer = { bar, sound, toggle, stop, hear: (pk) => { skipped = 0; return hear(pk, true); }, get playing() { return playing; } };
});
