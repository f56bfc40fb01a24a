"use strict";

// The button beside a select lets one hear whoever is chosen there. Before listen.js, which shows buttons that lead
// somewhere.
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-nr-beside]")) {
    const select = document.getElementById(button.dataset.nrBeside);
    const follow = () => {
      const known = /^\d+$/.test(select.value);
      button.dataset.nrListen = known ? button.dataset.nrAddress.replace("/0/", `/${select.value}/`) : "";
      button.dataset.nrName = known ? select.selectedOptions[0].textContent : "";
      button.style.visibility = known ? "visible" : "hidden";
    };
    select.addEventListener("change", follow);
    follow();
  }
});
