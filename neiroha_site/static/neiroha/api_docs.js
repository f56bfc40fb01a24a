"use strict";

// The API's page: Swagger UI on our schema. What it sends goes out under the session of who looks at it.
const place = document.getElementById("nr-api");

// As the administration pages are shown: what was chosen there, else what the system prefers.
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function paint() {
  const chosen = (localStorage.getItem("adminTheme") ?? "auto").replaceAll('"', "");
  const dark = chosen === "dark" || (chosen !== "light" && prefersDark.matches);
  document.documentElement.classList.toggle("dark-mode", dark);
}

paint();
prefersDark.addEventListener("change", paint);
window.addEventListener("storage", paint);

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  docExpansion: "none",
  filter: true,
  validatorUrl: null,
  requestInterceptor(request) {
    const own = new URL(request.url, location.href).origin === location.origin;
    if (own && !["GET", "HEAD", undefined].includes(request.method)) {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  },
});
