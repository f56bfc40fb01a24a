"""The studio in a real Chromium: from a text to a kept take that is found again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Locator, Page, expect

from banks.models import Bank
from providers.models import Provider
from studio.files import folder
from studio.models import Take, TakeState
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.studio import file_of, queued
from tests.test_accessibility import violations
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

PASSWORD = "correct horse battery staple"
SENTENCE = "The quick brown fox jumps over the lazy dog."
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as started:
            yield started


@pytest.fixture
def visit(browser: Browser, server: str, bank: Bank) -> Iterator[Visit]:
    """Opens a window on the running application, signed in; at the end no window's console has complained."""
    User.objects.create_superuser("admin", password=PASSWORD)
    opened: list[Visitor] = []

    def open_window(*, width: int = WIDE, dark: bool = False) -> Visitor:
        visitor = Visitor(browser, server, width=width, dark=dark)
        opened.append(visitor)
        visitor.sign_in("admin", PASSWORD)
        return visitor

    try:
        yield open_window
        assert [complaint for visitor in opened for complaint in visitor.complaints] == []
    finally:
        for visitor in opened:
            visitor.close()
        for path in folder().iterdir() if folder().is_dir() else ():
            path.unlink()


def generate(page: Page, text: str) -> Locator:
    """Has the text spoken without leaving the page; its take."""
    page.fill("#id_text", text)
    page.get_by_role("button", name="Generate").click()
    take = page.locator(".nr-take", has_text=text)
    expect(take).to_be_visible()
    return take


def test_from_a_text_to_a_kept_take_that_is_found_again(visit: Visit, bank: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/admin/banks/character/{bank.characters.get().pk}/change/")
    page.locator("a[href^='/studio/?character=']").click()
    expect(page.locator("#id_character option:checked")).to_have_text("Heart")
    expect(page.locator("#nr-field-instruction")).to_be_hidden()

    page.fill("#id_text", "…")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#id_text_error")).to_have_text("There are no words in this text.")
    expect(page.locator("#id_text")).to_be_focused()
    visitor.shot("studio-error")
    page.fill("#id_text", SENTENCE)
    expect(page.locator("[data-nr-count]")).to_have_text(f"{len(SENTENCE)} / 5000")
    page.select_option("#id_format", "wav")
    page.keyboard.press("Control+Enter")
    take = page.locator(".nr-take")
    expect(take.get_by_text("Real-time factor")).to_be_visible()
    expect(page.locator("#id_text_error")).to_have_count(0)
    expect(page.locator("#id_text")).to_have_value(SENTENCE)

    page.wait_for_function("document.querySelector('audio').readyState >= 1")
    duration = page.evaluate("document.querySelector('audio').duration")
    row = Take.objects.get()
    assert duration == pytest.approx(row.duration, abs=0.1)
    assert_heard(SENTENCE, file_of(row))
    # A press in the middle of the waveform plays from there on.
    take.locator("[data-nr-wave]").click()
    page.wait_for_function(f"document.querySelector('audio').currentTime > {duration * 0.45}")
    page.wait_for_function(
        "parseFloat(document.querySelector('[data-nr-wave]').style.getPropertyValue('--nr-played')) > 45"
    )

    page.locator("audio").evaluate("audio => audio.pause()")
    take.get_by_role("button", name="Keep", exact=True).click()
    expect(take.get_by_text("Kept", exact=True)).to_be_visible()
    assert Take.objects.get().kept
    played = page.locator("[data-nr-wave]").evaluate("wave => parseFloat(wave.style.getPropertyValue('--nr-played'))")
    assert played > 45, "the player stays where it was"
    visitor.shot("studio-quick")
    second = generate(page, "Another sentence to forget.")
    expect(second.get_by_text("Inference")).to_be_visible()
    second.get_by_role("button", name="Discard").click()
    expect(second).to_have_count(0)
    expect(page.get_by_text("1 take was deleted.")).to_be_visible()

    page.get_by_role("link", name="All takes").click()
    page.fill("#id_q", "lazy dog")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=lazy\+dog"))
    expect(page.locator(".nr-take")).to_have_count(1)
    visitor.shot("studio-archive")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download WAV").click()
    assert download.value.suggested_filename == f"Heart - {SENTENCE}wav"
    assert download.value.path().read_bytes() == file_of(row)


def test_progress_cancelling_and_a_failures_reason(visit: Visit, bank: Bank) -> None:
    upstream = OpenAIUpstream(held=True)
    with serve(upstream) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="gpt-4o-mini-tts")
        visitor = visit()
        page = visitor.page
        page.goto("/studio/")
        page.select_option("#id_character", label="Alloy")
        expect(page.locator("#nr-field-instruction")).to_be_visible()
        running, waiting = generate(page, "Somebody speaks."), generate(page, "Somebody waits.")
        upstream.wait_for(lambda app: len(app.spoken) == 1)
        expect(running.get_by_text("Speaking", exact=True)).to_be_visible()
        expect(waiting.get_by_text("starts in about")).to_be_visible()
        visitor.shot("studio-progress")
        running.get_by_role("button", name="Cancel").click()
        expect(running.get_by_text("Cancelled")).to_be_visible()
        upstream.wait_for(lambda app: app.disconnects == 1)
        # The page follows by itself what others do: the one that waited is spoken next.
        expect(waiting.get_by_text("Speaking", exact=True)).to_be_visible()
        upstream.release(100)
        expect(waiting.get_by_text("Inference")).to_be_visible()
        upstream.switches.refusals = [Refusal(400, "Only on <i>Sundays</i>.")]
        failed = generate(page, "This is refused.")
        expect(failed.get_by_text("Only on <i>Sundays</i>.")).to_be_visible()
        expect(failed.get_by_text("will fail in the same way")).to_be_visible()
        failed.get_by_role("button", name="Try again").click()
        again = page.locator(".nr-take", has_text="This is refused.").first
        expect(again.get_by_text("Inference")).to_be_visible()
        visitor.shot("studio-failure")
    states = Take.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == [TakeState.CANCELLED, TakeState.DONE, TakeState.FAILED, TakeState.DONE]


def test_banks_narrow_the_choice_and_several_takes_are_deleted(visit: Visit, bank: Bank) -> None:
    provider = Provider.objects.get()
    add_character(Bank.objects.create(name="Games", position=3), provider, "Knight")
    page = visit().page
    page.goto("/studio/")
    page.select_option("#id_bank", label="Games")
    expect(page.locator("#id_character option:checked")).to_have_text("Knight")
    assert page.locator("#id_character option:not([hidden])").all_inner_texts() == ["Knight"]
    page.select_option("#id_bank", label="All banks")
    expect(page.locator("#id_character option:not([hidden])")).to_have_count(2)

    admin, heart = User.objects.get(), bank.characters.get()
    for number in range(3):
        queued(admin, heart, text=f"Number {number}.", state=TakeState.FAILED, error="It failed.")
    page.goto("/studio/takes/")
    page.get_by_label("All on this page").check()
    page.get_by_label("Choose “Number 1.”").uncheck()
    page.get_by_text("Delete the ticked…").click()
    page.get_by_role("button", name="Delete them for good").click()
    expect(page.get_by_text("2 takes were deleted.")).to_be_visible()
    expect(page.locator(".nr-take")).to_have_count(1)
    assert Take.objects.get().text == "Number 1."


@pytest.mark.parametrize(("width", "dark"), [(WIDE, True), (NARROW, False)], ids=["wide-dark", "narrow-light"])
def test_the_pages_fit(visit: Visit, bank: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    for path in ("/studio/", "/studio/takes/"):
        page.goto(path)
        visitor.assert_fits(width)
        visitor.shot(f"studio-empty-{path.strip('/').replace('/', '-')}-{width}")
    admin, heart = User.objects.get(), bank.characters.get()
    queued(admin, heart, text="averylongwordwithoutanyblank" * 20, state=TakeState.FAILED, error="reason" * 60)
    queued(admin, heart, text="Words. " * 200, state=TakeState.CANCELLED)
    page.goto("/studio/")
    expect(generate(page, SENTENCE).get_by_text("Inference")).to_be_visible()
    for path in ("/studio/", "/studio/takes/", "/admin/studio/studiosettings/1/change/"):
        page.goto(path)
        visitor.assert_fits(width)
        assert violations(page) == []
        visitor.shot(f"studio-{path.strip('/').replace('/', '-')}-{width}")
