"""A real Chromium for tests, which fails them on anything that its console complains about.

Set SHOTS_DIR to keep pictures of the pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect, sync_playwright

expect.set_options(timeout=60_000)

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = 1400, 390


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=120_000)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One person's browser window. `complaints` holds console errors, page errors and answers from 400 up."""

    def __init__(
        self, browser: Browser, address: str, *, width: int = WIDE, dark: bool = False, locale: str = "en-US"
    ) -> None:
        self.address = address
        self.complaints: list[str] = []
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            base_url=address,
            locale=locale,
        )
        self.context.set_default_timeout(60_000)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    def sign_in(self, username: str, password: str) -> None:
        self.page.goto("/admin/login/?next=/admin/")
        self.page.fill("#id_username", username)
        self.page.fill("#id_password", password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url("**/admin/")

    def save(self) -> None:
        with self.page.expect_navigation():
            self.page.locator("button[name=_save]").click()

    def settle(self) -> None:
        """Wait until nothing on the page moves or changes its colour any more."""
        self.page.wait_for_load_state("load")
        self.page.wait_for_function("document.getAnimations().every(each => each.playState !== 'running')")

    def assert_fits(self, width: int) -> None:
        """Nothing sticks out of the window."""
        self.settle()
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{self.page.url} is {wide} pixels wide"

    def shot(self, name: str, *, full: bool = True) -> None:
        if folder := os.environ.get("SHOTS_DIR"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=full)

    def close(self) -> None:
        self.context.close()
