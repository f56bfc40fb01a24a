"""In Chromium: what a bank has kept is shown on its page, and cleared there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, expect

from banks.models import Bank, Character
from banks.speech_store import SpeechStore
from providers.models import Provider
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.test_accessibility import violations
from tests.test_admin_banks import change, kept

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as started:
            yield started


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)])
def test_kept_speech_is_shown_and_cleared(browser: Browser, server: str, width: int, dark: bool) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    bank, provider = Bank.objects.create(name="Stories"), Provider.objects.create(name="Embedded", kind="embedded")
    # What belongs to no character of the bank would be removed by the running server.
    bank.memberships.create(character=Character.objects.create(name="Heart", provider=provider), public_id="voice")
    kept(bank, hits=3, misses=2)
    visitor = Visitor(browser, server, width=width, dark=dark)
    try:
        visitor.sign_in("admin", PASSWORD)
        visitor.page.goto(change(bank))
        expect(visitor.page.get_by_text("in 2 files.")).to_be_visible()
        expect(visitor.page.get_by_text("3 of 5 requests cost no call to a provider.")).to_be_visible()
        visitor.assert_fits(width)
        assert violations(visitor.page) == []
        visitor.shot(f"kept-speech-{width}", full=False)
        visitor.page.get_by_role("button", name="Clear the kept speech").click()
        expect(visitor.page.get_by_text("The kept speech of “Stories” is cleared.")).to_be_visible()
        assert SpeechStore().usage(bank.pk).files == 0
        assert visitor.complaints == []
    finally:
        visitor.close()
