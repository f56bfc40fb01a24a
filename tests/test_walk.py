"""The whole way in a real browser, in both languages: from an empty installation to a key and a spoken answer."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from api.models import Access, ServerSettings
from neiroha_site.first_run import SetupToken
from providers.models import CatalogueVoice
from studio.models import Take
from tests.browser import NARROW, WIDE, Visitor
from tests.hearing import assert_heard
from tests.test_accessibility import violations
from tests.test_pages_browser import PASSWORD, browser  # noqa: F401 - a fixture
from tests.upstreams.openai import VOICES, OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

SENTENCE = "The quick brown fox jumps over the lazy dog."
WALKS = [("en-US", WIDE, False), ("zh-CN", NARROW, True), ("zh-CN", WIDE, True), ("en-US", NARROW, False)]
NAMES = ["english-wide-light", "chinese-narrow-dark", "chinese-wide-dark", "english-narrow-light"]


class Walker:
    """A visitor who looks at each page that it comes to."""

    def __init__(self, visitor: Visitor, width: int) -> None:
        self.visitor = visitor
        self.page: Page = visitor.page
        self.width = width

    def open(self, path: str) -> None:
        self.page.goto(path)
        self.look()

    def look(self) -> None:
        self.visitor.assert_fits(self.width)
        assert violations(self.page) == [], self.page.url

    def press(self, selector: str) -> None:
        with self.page.expect_navigation():
            self.page.locator(selector).first.click()
        self.look()


def set_up(walker: Walker) -> None:
    page = walker.page
    walker.open(f"/setup?token={SetupToken().offer()}")
    page.fill("[name=username]", "admin")
    page.fill("[name=password1]", PASSWORD)
    page.fill("[name=password2]", PASSWORD)
    walker.press("button[type=submit]")
    expect(page).to_have_url(f"{walker.visitor.address}/admin/")


def connect(walker: Walker, upstream: str) -> None:
    """A provider, and what it lists."""
    page = walker.page
    walker.open("/admin/providers/provider/add/")
    walker.press("a[href$='kind=openai']")
    page.fill("#id_name", "House server")
    page.fill("#id_base_url", upstream)
    walker.press("button[name=_continue]")
    walker.press("form[action$='/fetch/'] button")
    assert CatalogueVoice.objects.count() == len(VOICES)


def cast(walker: Walker) -> None:
    """A character with one of its voices, in an active bank."""
    page = walker.page
    walker.open("/admin/banks/character/add/")
    walker.press("a[href*='provider=']")
    page.fill("#id_name", "Alloy")
    page.fill("#id_model", "tts-1")
    page.fill("#id_voice", "alloy")
    walker.press("button[name=_save]")
    walker.open("/admin/banks/bank/add/")
    page.fill("#id_name", "Stories")
    page.locator("a.add-row").first.click()
    page.select_option("#id_memberships-0-character", label="Alloy")
    walker.press("button[name=_save]")


def hear(walker: Walker) -> None:
    page = walker.page
    walker.open("/studio/")
    page.fill("#id_text", SENTENCE)
    page.locator("#nr-quick button[type=submit]").click()
    expect(page.locator("#nr-takes audio")).to_have_count(1, timeout=WAIT_SECONDS * 1000)
    page.wait_for_function("document.querySelector('#nr-takes audio').duration > 1")
    walker.look()
    with Take.objects.get().file.open() as file:
        assert_heard(SENTENCE, file.read())


def give_out_a_key(walker: Walker) -> str:
    page = walker.page
    walker.open("/admin/api/apikey/add/")
    page.fill("#id_name", "Kitchen")
    walker.press("button[name=_save]")
    return page.locator("#nr-secret").inner_text()


@pytest.mark.parametrize(("locale", "width", "dark"), WALKS, ids=NAMES)
def test_from_nothing_to_a_key_and_a_spoken_answer(
    browser: Browser,  # noqa: F811
    server: str,
    locale: str,
    width: int,
    dark: bool,
) -> None:
    visitor = Visitor(browser, server, width=width, dark=dark, locale=locale)
    walker = Walker(visitor, width)
    try:
        with serve(OpenAIUpstream()) as url:
            set_up(walker)
            assert visitor.page.evaluate("document.documentElement.lang").startswith(locale[:2])
            connect(walker, f"{url}/v1")
            cast(walker)
            hear(walker)
            secret = give_out_a_key(walker)
            assert ServerSettings.load().access == Access.KEYS
            body = {"model": "Stories", "voice": "Alloy", "input": SENTENCE}
            headers = {"Authorization": f"Bearer {secret}"}
            answer = httpx.post(f"{server}/v1/audio/speech", json=body, headers=headers, timeout=WAIT_SECONDS)
            assert answer.status_code == 200
            assert_heard(SENTENCE, answer.content)
            walker.open("/admin/queue/")
            walker.open("/admin/")
            visitor.shot(f"walk-{locale}-{width}")
        assert visitor.complaints == []
    finally:
        visitor.close()
