from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone
from playwright.sync_api import Browser, expect

from api.models import Access, ApiKey, ServerSettings, hash_key
from banks.images import avatar_image
from banks.models import Bank, Character, Membership, ReferenceAudio
from providers import adapters
from providers.models import CatalogueModel, CatalogueVoice, HealthReport, Provider
from tests.admin_pages import picture, recording
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.conftest import add_character
from tests.test_api_errors import change_settings
from tests.test_api_streams import eventually, snapshot
from tests.upstreams.openai import MODELS, VOICES, OpenAIUpstream
from tests.upstreams.serving import serve
from tests.upstreams.voxcpm import VoxCPMUpstream

PASSWORD = "correct horse battery staple"
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        environment.setitem(adapters._KINDS, "everything", "tests.everything_adapter.EverythingAdapter")
        with chromium() as started:
            yield started


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Visit]:
    """Opens a window, signed in as an administrator; at the end no window's console has complained."""
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


@pytest.fixture
def house(transactional_db: None) -> Bank:
    """A bank with three characters, one with an avatar and one cloned from a recording."""
    embedded = Provider.objects.create(name="Embedded voice", kind="embedded", max_concurrency=2)
    server = Provider.objects.create(name="House server", kind="openai", base_url="http://127.0.0.1:5002/v1")
    cloner = Provider.objects.create(name="Studio", kind="everything", base_url="http://127.0.0.1:9", api_key="sk-1")
    reference = ReferenceAudio.objects.create(
        name="Grandfather", duration=1.0, file=ContentFile(recording(), name="grandfather.wav")
    )
    bank = Bank.objects.create(name="Stories", description="The voices of the evening")
    people = [
        Character(name="Heart", provider=embedded, aliases=["narrator", "alloy"], avatar=avatar_image(picture())),
        Character(name="Nova", provider=server, voice="nova", description="Young and quick"),
        Character(name="Grandfather", provider=cloner, task_mode="clone", reference=reference),
    ]
    for position, character in enumerate(people):
        character.save()
        Membership.objects.create(bank=bank, character=character, position=position)
    bank.default_character = people[0]
    bank.save()
    return bank


def fill_catalogue(provider: Provider) -> None:
    """Health, and voices of every origin, one with a long name."""
    reason = "It asks for another key. " + "averylongwordwithoutanyblank" * 8
    HealthReport.objects.create(
        provider=provider,
        checked_at=timezone.now(),
        latency_ms=31,
        reachable=True,
        reason=reason,
        key_accepted=False,
        right_kind=True,
        admin_url="http://127.0.0.1:8001",
    )
    rows = [
        CatalogueVoice(provider=provider, external_id=f"en-GB-Voice{number:02}Neural", name=f"Voice {number}")
        for number in range(40)
    ]
    rows[0].styles, rows[0].language, rows[0].gender = ["calm", "cheerful", "newscast"], "en-GB", "female"
    rows[1].vanished_at, rows[2].by_hand = timezone.now(), True
    rows[3].name = "W" * 200
    CatalogueVoice.objects.bulk_create(rows)
    CatalogueModel.objects.create(provider=provider, external_id="studio")


def test_from_nothing_to_a_bank_with_a_voice(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.shot("dashboard-empty")
    page.get_by_role("link", name="Add a provider").click()
    page.get_by_role("link", name="Embedded voice").click()
    page.fill("#id_name", "Inside")
    visitor.save()
    page.goto("/admin/banks/character/add/")
    page.get_by_role("link", name="Inside").click()
    page.fill("#id_name", "Heart")
    page.fill("#id_aliases", "narrator, alloy")
    visitor.save()
    page.goto("/admin/banks/bank/add/")
    page.fill("#id_name", "Stories")
    page.get_by_role("link", name="Add another Character").click()
    page.select_option("#id_memberships-0-character", label="Heart")
    page.select_option("#id_default_character", label="Heart")
    visitor.save()
    page.goto("/admin/")
    expect(page.locator(".nr-person")).to_have_text(["HHeart"])
    expect(page.locator("#nr-curl")).to_contain_text('"model": "Stories", "voice": "Heart"')

    character = Character.objects.get()
    assert (character.provider.name, character.aliases) == ("Inside", ["narrator", "alloy"])
    assert Bank.objects.get().default_character == character


def test_a_key_is_shown_once_and_never_again(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/admin/api/apikey/add/")
    visitor.shot("key-add")
    page.fill("#id_name", "Kitchen")
    visitor.save()
    secret = page.locator("#nr-secret").inner_text()
    visitor.shot("key-once")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    assert ApiKey.objects.get().digest == hash_key(secret)

    page.reload()  # leads to the list instead of making a second key
    expect(page).to_have_url(f"{visitor.address}/admin/api/apikey/")
    assert ApiKey.objects.count() == 1
    assert secret not in page.content()
    page.get_by_role("link", name="Kitchen").click()
    expect(page.get_by_role("button", name="Revoke")).to_be_visible()
    assert secret not in page.content()
    visitor.shot("key")
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("no longer opens anything")).to_be_visible()
    assert ApiKey.objects.get().revoked_at is not None


def test_settings_are_in_force_once_saved(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/admin/api/serversettings/")
    page.fill("#id_cors_origins", "https://chat.example.com/path")
    visitor.save()
    expect(page.get_by_text("is not an origin")).to_be_visible()
    visitor.shot("settings-error")
    page.fill("#id_cors_origins", "https://chat.example.com")
    page.fill("#id_rate_limit_per_minute", "7")
    page.select_option("#id_access", Access.KEYS)
    visitor.save()
    expect(page.get_by_text("Saved and in force.")).to_be_visible()
    row = ServerSettings.load()
    assert (row.cors_origins, row.rate_limit_per_minute, row.access) == ("https://chat.example.com", 7, "keys")


def test_a_character_shows_what_its_provider_and_task_mode_read(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    nova = Character.objects.get(name="Nova")
    page.goto(f"/admin/banks/character/{nova.pk}/change/")
    voice, reference = page.locator(".field-voice"), page.locator(".field-reference")
    temperature = page.locator("#id_option_everything_temperature")
    expect(voice).to_be_visible()
    expect(reference).to_be_hidden()
    expect(temperature).to_be_hidden()

    page.select_option("#id_provider", label="Studio")
    page.select_option("#id_task_mode", "clone")
    expect(voice).to_be_hidden()
    expect(reference).to_be_visible()
    page.select_option("#id_reference", label="Grandfather")
    temperature.fill("1.5")
    visitor.shot("character-clone")
    visitor.save()
    nova.refresh_from_db()
    assert (nova.provider.name, nova.task_mode, nova.voice) == ("Studio", "clone", "")
    assert nova.options == {"temperature": 1.5}

    page.goto(f"/admin/banks/character/{nova.pk}/change/")
    page.select_option("#id_provider", label="Embedded voice")
    expect(page.locator("#id_task_mode")).to_have_value("preset")
    expect(reference).to_be_hidden()


def test_archiving_and_restoring(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(f"/admin/banks/bank/{house.pk}/change/")
    page.get_by_role("link", name="Delete bank").click()
    expect(page.get_by_text("character “Nova”")).to_be_visible()
    visitor.shot("remove")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("was archived")).to_be_visible()
    expect(page.locator("#result_list")).to_have_count(0)
    page.goto("/admin/banks/bank/?archived=yes")
    page.get_by_role("link", name="Stories").click()
    visitor.shot("archived")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("is back")).to_be_visible()
    house.refresh_from_db()
    assert house.archived_at is None


def test_fetch_all_brings_voices_that_characters_are_offered(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    upstream = OpenAIUpstream()
    hostile = "<img src=x onerror=alert(1)>"
    with serve(upstream) as url:
        provider = Provider.objects.get(name="House server")
        Provider.objects.filter(pk=provider.pk).update(base_url=f"{url}/v1")
        page.goto(f"/admin/providers/provider/{provider.pk}/change/")
        page.get_by_role("button", name="Check health").click()
        expect(page.get_by_text("House server is healthy.")).to_be_visible()
        expect(page.locator(".nr-panel .nr-light")).to_have_text("Healthy")
        page.get_by_role("button", name="Fetch all").click()
        expect(page.get_by_text(f"{len(VOICES)} voices, {len(MODELS)} models")).to_be_visible()
        visitor.shot("provider-fetched")
        page.locator("#nr-catalogue").locator("..").locator("..").get_by_role("link", name="Voices", exact=True).click()
        expect(page.locator("#result_list tbody tr")).to_have_count(len(VOICES))
        visitor.shot("catalogue")
        page.fill("#searchbar", "allo")
        page.keyboard.press("Enter")
        expect(page.locator("#result_list tbody tr")).to_have_count(1)

    CatalogueVoice.objects.filter(external_id="ash").update(name=hostile)
    nova = Character.objects.get(name="Nova")
    page.goto(f"/admin/banks/character/{nova.pk}/change/")
    offered = page.locator("#nr-voice-list option")
    expect(offered).to_have_count(len(VOICES))
    expect(page.locator("#nr-model-list option")).to_have_count(len(MODELS))
    assert page.locator("#nr-voice-list option[value=ash]").get_attribute("label") == hostile
    page.fill("#id_voice", "a-voice-that-nobody-lists")
    page.select_option("#id_provider", label="Embedded voice")
    expect(offered).to_have_count(0)
    expect(page.get_by_text("No voices of this provider are known here yet.")).to_be_visible()
    visitor.shot("character-suggestions")
    page.select_option("#id_provider", label="House server")
    expect(offered).to_have_count(len(VOICES))
    visitor.save()
    nova.refresh_from_db()
    assert nova.voice == "a-voice-that-nobody-lists"


def test_a_registered_voice_is_deleted_after_a_second_thought(visit: Visit, house: Bank) -> None:
    page = visit().page
    backend = VoxCPMUpstream()
    with serve(backend) as url:
        provider = Provider.objects.create(name="Cellar", kind="voxcpm", base_url=url)
        page.goto(f"/admin/providers/provider/{provider.pk}/change/")
        page.get_by_role("link", name="Registered voices").click()
        entry = page.locator(".nr-entries > li", has_text="Ada Lovelace")
        button = entry.get_by_role("button", name="Delete it on the backend for good")
        expect(button).to_be_hidden()
        entry.get_by_text("Delete…").click()
        button.click()
        expect(page.get_by_text("Voice “ada” is deleted.")).to_be_visible()
        assert "ada" not in backend.voices


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)])
def test_the_queue_shows_who_waits_and_cancels_one(
    browser: Browser, bank: Bank, server: str, width: int, dark: bool
) -> None:
    """On the application itself: only its own process has the queue."""
    User.objects.create_superuser("admin", password=PASSWORD)
    change_settings(queue_deadline_seconds=600)
    upstream = OpenAIUpstream(held=True)
    with (
        serve(upstream) as url,
        ThreadPoolExecutor(3) as callers,
        httpx.Client(base_url=server, timeout=120, trust_env=False) as http,
    ):
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        asked = [
            callers.submit(http.post, "/v1/audio/speech", json={"voice": "Alloy", "input": text})
            for text in ("One sentence.", "Another sentence.", "A third one.")
        ]
        visitor = Visitor(browser, server, width=width, dark=dark)
        try:
            visitor.sign_in("admin", PASSWORD)
            upstream.wait_for(lambda app: len(app.spoken) == 1)
            eventually(lambda: len(snapshot().waiting) == 2)
            page = visitor.page
            page.goto("/admin/queue/")
            expect(page.get_by_role("status").get_by_text("Live", exact=True)).to_be_visible()
            waiting = page.locator("#nr-waiting").locator("..")
            expect(waiting.locator("li")).to_have_count(2)
            waiting.get_by_role("button", name="Cancel").last.click()
            expect(page.get_by_text("1 request was cancelled.")).to_be_visible()
            expect(waiting.locator("li")).to_have_count(1)
            visitor.shot(f"queue-{width}")
            waiting.get_by_role("button", name="Cancel").focus()
            asked.append(callers.submit(http.post, "/v1/audio/speech", json={"voice": "Alloy", "input": "A fourth."}))
            expect(waiting.locator("li")).to_have_count(2)
            expect(waiting.get_by_role("button", name="Cancel").first).to_be_focused()
            upstream.release(100)
            assert sorted(answer.result().status_code for answer in asked) == [200, 200, 200, 503]
            expect(page.get_by_text("Nothing waits.")).to_be_visible()
            assert visitor.complaints == []
        finally:
            upstream.release(100)
            visitor.close()


BACKEND_PAGES = ["provider/{provider}/change/", "provider/{provider}/log/", "provider/{provider}/voices/"]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)])
def test_pages_around_a_backend_fit(visit: Visit, house: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    with serve(VoxCPMUpstream()) as url:
        provider = Provider.objects.create(name="Cellar", kind="voxcpm", base_url=url, requests_per_day=250)
        fill_catalogue(provider)
        paths = [f"/admin/providers/{path}" for path in BACKEND_PAGES]
        lists = ["/admin/providers/cataloguevoice/?provider={provider}", "/admin/queue/", "/admin/troubleshooting/"]
        for path in [*paths, *lists, "/admin/providers/provider/", "/admin/"]:
            visitor.page.goto(path.format(provider=provider.pk))
            name = path.split("?")[0].format(provider="x").strip("/").replace("/", "-")
            visitor.shot(f"backend-{name}-{width}-{'dark' if dark else 'light'}")
            visitor.assert_fits(width)


PAGES = [
    "/admin/",
    "/admin/banks/bank/",
    "/admin/banks/bank/{bank}/change/",
    "/admin/banks/bank/{bank}/delete/",
    "/admin/banks/character/",
    "/admin/banks/character/add/",
    "/admin/banks/character/{character}/change/",
    "/admin/banks/referenceaudio/",
    "/admin/banks/referenceaudio/add/",
    "/admin/providers/provider/",
    "/admin/providers/provider/add/",
    "/admin/providers/provider/add/?kind=everything",
    "/admin/providers/provider/{provider}/change/",
    "/admin/api/apikey/add/",
    "/admin/api/requestlog/",
    "/admin/api/requestlog/clear/",
    "/admin/api/serversettings/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/group/add/",
]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_every_page_fits_and_keeps_the_console_clean(visit: Visit, house: Bank, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    character = Character.objects.get(name="Grandfather")
    keys = {"bank": house.pk, "character": character.pk, "provider": character.provider_id}
    for number, path in enumerate(PAGES):
        visitor.page.goto(path.format(**keys))
        visitor.assert_fits(width)
        visitor.shot(f"page-{number:02}-{width}")
        assert visitor.page.evaluate("document.documentElement.classList.contains('dark')") is dark


# The contrast (WCAG 2) between an element's text and what is painted behind it.
CONTRAST = """
element => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const behind = [];
  for (let each = element; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor);
  const paint = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of ["white", ...colours]) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const light = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map(light);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pair = [paint(behind), paint([...behind, getComputedStyle(element).color])].sort((a, b) => a - b);
  return (pair[1] + 0.05) / (pair[0] + 0.05);
}
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_stand_out_enough_to_be_read(visit: Visit, house: Bank, dark: bool) -> None:
    Provider.objects.create(name="Off", kind="embedded", enabled=False)
    visitor = visit(dark=dark)
    page = visitor.page
    seen = 0
    studio = Provider.objects.get(name="Studio")
    fill_catalogue(studio)
    paths = ["/admin/", f"/admin/banks/bank/{house.pk}/delete/", "/admin/providers/provider/add/"]
    paths += [f"/admin/providers/provider/{studio.pk}/change/", "/admin/troubleshooting/"]
    for path in paths:
        page.goto(path)
        visitor.settle()
        selector = ".nr-light, .nr-reason, .nr-facts dt, .nr-facts dd, "
        selector += ".nr-button, .nr-link, .nr-quiet, .nr-tag, .nr-heading, .nr-title, .nr-code, #nav-sidebar a"
        for element in page.locator(selector).all():
            contrast = element.evaluate(CONTRAST)
            assert contrast >= 4.5, f"{path}: {element.inner_text()!r} has {contrast:.2f}:1"
            seen += 1
    assert seen > 30


def test_the_keyboard_shows_where_it_is(visit: Visit, house: Bank) -> None:
    visitor = visit()
    page = visitor.page
    page.locator(".nr-button").first.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    visitor.settle()
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle") == "solid"
    assert float(page.evaluate(f"{style}.outlineWidth").removesuffix("px")) >= 2
