"use strict";

// Files for upload: too large ones are refused before they are sent, microphones give one, recognisers read one.
document.addEventListener("DOMContentLoaded", () => {
  const field = document.querySelector("input[type=file][data-nr-max-bytes]");
  const recorder = document.querySelector("[data-nr-recorder]");
  if (field) guardSize(field);
  if (field && recorder) {
    record(field, recorder);
    guardRecording(field);
  }
  const button = document.querySelector("[data-nr-transcribe]");
  if (button) suggest(button);

  function isTooLarge(input) {
    return [...input.files].some((file) => file.size > Number(input.dataset.nrMaxBytes));
  }

  function guardSize(input) {
    const told = document.createElement("p");
    told.className = "nr-error";
    told.setAttribute("role", "alert");
    input.closest(".grow.relative, .nr-field")?.append(told);
    const tooLarge = () => isTooLarge(input);
    const say = () => { told.textContent = tooLarge() ? input.dataset.nrTooLarge : ""; };
    input.addEventListener("change", say);
    input.form.addEventListener("submit", (event) => {
      if (!tooLarge()) return;
      // The shell's own listeners would show the form as on its way.
      event.preventDefault();
      event.stopImmediatePropagation();
      input.focus();
    }, { capture: true });
  }

  // A form that the server refuses loses its file, and a recording would be gone: so what it needs is asked for before.
  function guardRecording(input) {
    const needed = ["id_name", "id_consent_note", "id_may_be_cloned"].map((id) => document.getElementById(id));
    input.form.addEventListener("submit", (event) => {
      for (const field of needed) field.required = input.files.length > 0;
      if (input.form.reportValidity()) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    }, { capture: true });
  }

  function record(input, box) {
    const find = (name) => box.querySelector(`[data-nr-${name}]`);
    const preview = find("preview");
    const button = find("record");
    const clock = find("clock");
    const meter = find("meter");
    const startText = button.textContent;
    let current = null;

    if (!isSecureContext) find("insecure").hidden = false;
    else if (!navigator.mediaDevices || !window.MediaRecorder) find("unable").hidden = false;
    else find("able").hidden = false;

    input.addEventListener("change", () => {
      const file = input.files[0];
      preview.hidden = !file || isTooLarge(input);
      if (preview.hidden) return;
      const audio = preview.querySelector("audio");
      URL.revokeObjectURL(audio.src);
      audio.src = URL.createObjectURL(file);
      const name = document.getElementById("id_name");
      if (name && !name.value) name.value = file.name.replace(/\.[^.]*$/, "").slice(0, 100);
    });

    button.addEventListener("click", async () => {
      if (current) { current.stop(); return; }
      // Engines that clone want the voice as it is, without what makes calls sound clean.
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: plain }).catch(() => null);
      find("denied").hidden = Boolean(stream);
      if (stream) listen(stream);
    });

    function listen(stream) {
      const pieces = [];
      const media = new MediaRecorder(stream, { audioBitsPerSecond: 192000 });
      const started = performance.now();
      const stopMeter = measure(stream);
      media.addEventListener("dataavailable", (event) => pieces.push(event.data));
      media.addEventListener("stop", () => {
        stopMeter();
        clearInterval(ticking);
        for (const track of stream.getTracks()) track.stop();
        current = null;
        button.textContent = startText;
        button.classList.remove("nr-button-danger");
        take(pieces, media.mimeType);
      });
      const ticking = setInterval(() => {
        const seconds = Math.floor((performance.now() - started) / 1000);
        clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
        if (seconds >= Number(box.dataset.nrMaxSeconds) - 1) media.stop();
      }, 250);
      media.start(1000);
      current = media;
      button.textContent = button.dataset.nrStop;
      button.classList.add("nr-button-danger");
    }

    function take(pieces, type) {
      const kind = /\/(\w+)/.exec(type)?.[1] ?? "webm";
      const files = new DataTransfer();
      files.items.add(new File(pieces, `${box.dataset.nrName}.${kind}`, { type }));
      input.files = files.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }

    function measure(stream) {
      const context = new AudioContext();
      const analyser = context.createAnalyser();
      context.createMediaStreamSource(stream).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      const timer = setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        meter.value = samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
      }, 60);
      return () => { clearInterval(timer); meter.value = 0; context.close(); };
    }
  }

  function suggest(button) {
    const state = document.querySelector("[data-nr-transcribe-state]");
    button.addEventListener("click", async () => {
      button.disabled = true;
      state.textContent = button.dataset.nrBusy;
      const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
      const response = await fetch(button.dataset.nrTranscribe, { method: "POST", headers: { "X-CSRFToken": token } }).catch(() => null);
      const heard = response?.ok && !response.redirected ? await response.json() : { problem: button.dataset.nrFailed };
      button.disabled = false;
      state.textContent = heard.problem || button.dataset.nrDone;
      if (heard.problem) return;
      const transcript = document.getElementById("id_transcript");
      const language = document.getElementById("id_language");
      transcript.value = heard.transcript;
      transcript.dispatchEvent(new Event("input", { bubbles: true }));
      if (!language.value) language.value = heard.language;
      transcript.focus();
    });
  }
});
