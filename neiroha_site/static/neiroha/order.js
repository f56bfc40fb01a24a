"use strict";

// Rows that are dragged by a handle. The buttons beside it do the same without a mouse, and without this script.
document.addEventListener("DOMContentLoaded", () => {
  const places = [...document.querySelectorAll("[data-nr-order]")];
  const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (places.length < 2 || !token) return;
  const rowOf = (place) => place.closest("tbody");
  const table = rowOf(places[0]).parentElement;
  let dragged = null;
  let before = "";

  const order = () => [...table.querySelectorAll("[data-nr-order]")].map((place) => place.dataset.nrOrder);

  async function save() {
    const body = new URLSearchParams(order().map((pk) => ["pk", pk]));
    const response = await fetch(places[0].dataset.nrOrderUrl, {
      method: "POST", body, headers: { "X-CSRFToken": token }, redirect: "error",
    }).catch(() => null);
    // Whatever was refused, the page shows again what is stored.
    if (!response?.ok) location.reload();
  }

  function follow(event) {
    const rows = places.map(rowOf).filter((row) => row !== dragged);
    const next = rows
      .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
      .find((row) => { const box = row.getBoundingClientRect(); return event.clientY < box.top + box.height / 2; });
    if (next) table.insertBefore(dragged, next);
    else table.append(dragged);
  }

  function drop() {
    dragged.classList.remove("nr-dragged");
    dragged = null;
    if (order().join() !== before) save();
  }

  for (const place of places) {
    const handle = place.querySelector(".nr-handle");
    handle.hidden = false;
    handle.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      dragged = rowOf(place);
      before = order().join();
      dragged.classList.add("nr-dragged");
    });
  }
  // On the document: a row that is put elsewhere loses a pointer that it had captured.
  document.addEventListener("pointermove", (event) => { if (dragged) follow(event); });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { if (dragged) drop(); });
});
