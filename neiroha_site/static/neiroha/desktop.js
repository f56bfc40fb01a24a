"use strict";

// The import from the desktop application: chosen files are named and weighed before they are sent, and an import goes on
// by itself from step to step.
document.addEventListener("DOMContentLoaded", () => {
  for (const input of document.querySelectorAll("#nr-files input[type=file]")) {
    const field = input.closest(".nr-field");
    input.addEventListener("change", () => {
      const shown = field.querySelector("input[type=text]");
      if (shown) shown.value = [...input.files].map((file) => file.name).join(", ");
      weigh(input, field);
    });
  }

  document.getElementById("nr-files")?.addEventListener("submit", (event) => {
    const inputs = [...event.target.querySelectorAll("input[type=file]")];
    if (inputs.every((input) => weigh(input, input.closest(".nr-field")))) return;
    // The shell's own listeners would show the form as on its way.
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true });

  // A server that is sent far too much hangs up before it can say so.
  function weigh(input, field) {
    for (const error of field.querySelectorAll(".nr-error")) error.remove();
    const fits = [...input.files].every((file) => file.size <= Number(input.dataset.nrMaxBytes));
    if (fits) return true;
    const error = document.createElement("p");
    error.className = "nr-error";
    error.setAttribute("role", "alert");
    error.textContent = input.dataset.nrTooLarge;
    field.append(error);
    return false;
  }

  const goesOn = document.querySelector("[data-nr-goes-on]");
  goesOn?.requestSubmit(goesOn.querySelector("[name=import]"));
});
