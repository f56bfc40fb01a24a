"""In Chromium: providers switched and ordered in their list, voices heard from the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Locator, Page, expect

from providers.models import CatalogueModel, CatalogueVoice, Provider
from tests.browser import NARROW, WIDE, Visitor, chromium
from tests.sounds import tone, wav_file
from tests.test_api_streams import eventually, free, snapshot
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve
from tests.upstreams.voxcpm import VoxCPMUpstream

PASSWORD = "correct horse battery staple"
LIST = "/admin/providers/provider/"
VOICES = "/admin/providers/cataloguevoice/"
BOTH = [(WIDE, False), (NARROW, True)]
# Nobody hears it to its end, however slow the machine.
LONG, SHORT = (wav_file(tone(8000, seconds), 8000) for seconds in (240.0, 0.5))
# Of a listen button, from now on.
WATCH = """
button => {
  window.states = [];
  const note = () => window.states.push(button.dataset.nrState);
  new MutationObserver(note).observe(button, { attributeFilter: ["data-nr-state"] });
}
"""
Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
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
def abc(server: str) -> list[Provider]:
    return [Provider.objects.create(name=name, kind="embedded") for name in ("Anna", "Berta", "Cora")]


@pytest.fixture
def upstream(server: str) -> Iterator[OpenAIUpstream]:
    """Lists a model and three voices, each with a language of its own, and one that needs a recording."""
    app = OpenAIUpstream(speech=LONG, speech_type="audio/wav")
    with serve(app) as url:
        provider = Provider.objects.create(name="House server", kind="openai", base_url=f"{url}/v1", max_concurrency=2)
        CatalogueModel.objects.create(provider=provider, external_id="tts-1")
        listed = {"alloy": "en-US", "coral": "de-DE", "echo": "zh-CN"}
        for id, language in listed.items():
            CatalogueVoice.objects.create(provider=provider, external_id=id, name=id.title(), language=language)
        CatalogueVoice.objects.create(provider=provider, external_id="mould", task_mode="clone")
        yield app
        app.release(100)


def shown(page: Page) -> list[str]:
    return page.locator("#result_list .field-name a").all_inner_texts()


def stored() -> list[str]:
    return list(Provider.objects.order_by("position").values_list("name", flat=True))


def switch(page: Page, name: str) -> Locator:
    return page.get_by_role("switch", name=f"{name}: enabled")


def heard(page: Page) -> Locator:
    return page.locator(".nr-listen[data-nr-state=playing]")


# Switch and order


@pytest.mark.parametrize(("width", "dark"), BOTH, ids=["wide-light", "narrow-dark"])
def test_a_provider_is_switched_by_keyboard(visit: Visit, abc: list[Provider], width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    page.goto(LIST)
    expect(switch(page, "Berta")).to_be_checked()
    switch(page, "Berta").focus()
    with page.expect_navigation():
        page.keyboard.press("Space")
    expect(switch(page, "Berta")).not_to_be_checked()
    expect(switch(page, "Berta")).to_be_focused()
    expect(page.get_by_text("“Berta” is switched off")).to_be_visible()
    assert list(Provider.objects.filter(enabled=False)) == [abc[1]]
    visitor.assert_fits(width)
    visitor.shot(f"providers-{width}")


def test_a_provider_is_moved_by_keyboard(visit: Visit, abc: list[Provider]) -> None:
    page = visit().page
    page.goto(LIST)
    button = page.get_by_role("button", name="Move Cora up")
    button.focus()
    for order in (["Anna", "Cora", "Berta"], ["Cora", "Anna", "Berta"]):
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert shown(page) == stored() == order
        expect(button).to_be_focused()


def test_a_provider_is_dragged(visit: Visit, abc: list[Provider]) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(LIST)
    visitor.settle()
    source = page.locator(".nr-handle").nth(2).bounding_box()
    target = page.locator(".nr-handle").nth(0).bounding_box()
    assert source and target
    page.mouse.move(source["x"] + 5, source["y"] + 5)
    page.mouse.down()
    page.mouse.move(target["x"] + 5, target["y"] + 20, steps=3)
    page.mouse.move(target["x"] + 5, target["y"] - 2, steps=3)
    visitor.shot("providers-dragged")
    with page.expect_response(lambda response: response.url.endswith("/order/")) as saved:
        page.mouse.up()
    assert saved.value.status == 204
    assert shown(page) == stored() == ["Cora", "Anna", "Berta"]
    page.goto("/admin/")
    assert page.locator(".nr-provider strong, .nr-provider a").all_inner_texts()[:1] == ["Cora"]


# Listening


def test_a_voice_is_heard_and_stopped(visit: Visit, upstream: OpenAIUpstream) -> None:
    visitor = visit()
    page = visitor.page
    page.goto(VOICES)
    expect(page.locator(".nr-listen")).to_have_count(3)
    button = page.get_by_role("button", name="Listen to Alloy")
    upstream.switches.held = True
    button.focus()
    page.keyboard.press("Enter")
    stop = page.get_by_role("button", name="Stop Alloy")
    expect(stop).to_be_focused()
    expect(stop).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("status").filter(has_text="Loading: Alloy")).to_have_count(1)
    visitor.shot("voices-loading", full=False)
    upstream.wait_for(lambda app: app.current == 1)
    upstream.release()
    expect(heard(page)).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text="Playing: Alloy")).to_have_count(1)
    visitor.shot("voices-playing", full=False)
    page.keyboard.press("Escape")
    expect(heard(page)).to_have_count(0)
    expect(button).to_be_focused()
    page.keyboard.press("Space")
    expect(heard(page)).to_have_count(1)
    page.keyboard.press("Space")
    expect(button).to_be_visible()
    assert len(upstream.spoken) == 1, "what was heard is not asked for again"


def test_a_voice_ends_by_itself(visit: Visit, upstream: OpenAIUpstream) -> None:
    upstream.switches.speech = SHORT
    page = visit().page
    page.goto(VOICES)
    page.get_by_role("button", name="Listen to Alloy").evaluate(WATCH)
    page.get_by_role("button", name="Listen to Alloy").click()
    page.wait_for_function("window.states.at(-1) === 'idle'")
    assert page.evaluate("window.states") == ["loading", "playing", "idle"]


def test_another_voice_ends_the_first_and_frees_its_place(visit: Visit, upstream: OpenAIUpstream) -> None:
    page = visit().page
    page.goto(VOICES)
    upstream.switches.held = True
    page.get_by_role("button", name="Listen to Alloy").click()
    upstream.wait_for(lambda app: app.current == 1)
    page.get_by_role("button", name="Listen to Coral").click()
    expect(page.get_by_role("button", name="Listen to Alloy")).to_be_visible()
    upstream.wait_for(lambda app: app.disconnects == 1 and len(app.spoken) == 2)
    eventually(lambda: len(snapshot().running) == 1)
    upstream.release()
    expect(page.get_by_role("button", name="Stop Coral")).to_be_visible()
    expect(heard(page)).to_have_count(1)
    eventually(free)


@pytest.mark.parametrize(("width", "dark"), BOTH, ids=["wide-light", "narrow-dark"])
def test_the_voice_of_a_character_is_heard_before_it_is_saved(
    visit: Visit, upstream: OpenAIUpstream, width: int, dark: bool
) -> None:
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    provider = Provider.objects.get()
    page.goto(f"/admin/banks/character/add/?provider={provider.pk}")
    button = page.get_by_role("button", name="Listen to the voice")
    expect(page.locator("#nr-voice-list option")).to_have_count(4)
    expect(button).to_be_hidden()
    page.fill("#id_voice", "echo")
    button.click()
    expect(heard(page)).to_have_count(1)
    visitor.shot(f"character-listen-{width}", full=False)
    visitor.assert_fits(width)
    assert [sent["voice"] for sent in upstream.spoken] == ["echo"]
    page.fill("#id_voice", "coral")
    expect(heard(page)).to_have_count(0)
    button.click()
    expect(heard(page)).to_have_count(1)
    assert [sent["voice"] for sent in upstream.spoken] == ["echo", "coral"]
    for silent in ("mould", "nobody-lists-this"):
        page.fill("#id_voice", silent)
        expect(page.locator(".nr-listen-row")).to_be_hidden()
        expect(heard(page)).to_have_count(0)


@pytest.mark.parametrize(("width", "dark"), BOTH, ids=["wide-light", "narrow-dark"])
def test_the_reason_stands_beside_the_button(
    browser: Browser, server: str, upstream: OpenAIUpstream, width: int, dark: bool
) -> None:
    User.objects.create_superuser("admin", password=PASSWORD)
    visitor = Visitor(browser, server, width=width, dark=dark)
    try:
        visitor.sign_in("admin", PASSWORD)
        page = visitor.page
        page.goto(VOICES)
        upstream.switches.refusals = [Refusal(401, "No such <b>key</b>.")]
        page.get_by_role("button", name="Listen to Coral").click()
        alert = page.locator("tr", has_text="coral").get_by_role("alert")
        expect(alert).to_contain_text("No such <b>key</b>.")
        visitor.shot(f"voices-refused-{width}")
        visitor.assert_fits(width)
        expect(page.get_by_role("button", name="Listen to Coral")).to_be_visible()
        page.get_by_role("button", name="Listen to Coral").click()
        expect(heard(page)).to_have_count(1)
        expect(alert).to_be_hidden()
        assert [
            complaint
            for complaint in visitor.complaints
            if "/admin/listen/" not in complaint and "500" not in complaint
        ] == []
        assert visitor.complaints, "the refusal"
        User.objects.update(is_active=False)
        page.get_by_role("button", name="Listen to Echo").click()
        signed_out = page.locator("tr", has_text="echo").get_by_role("alert")
        expect(signed_out).to_have_text("It can't be heard. You may be signed out: reload the page.")
    finally:
        visitor.close()


@pytest.mark.parametrize(("width", "dark"), BOTH, ids=["wide-light", "narrow-dark"])
def test_the_page_says_what_a_provider_can_do(visit: Visit, server: str, width: int, dark: bool) -> None:
    visitor = visit(width=width, dark=dark)
    with serve(VoxCPMUpstream()) as url:
        provider = Provider.objects.create(
            name="Cellar", kind="voxcpm", base_url=url, requests_per_day=250, tokens_per_day=4000
        )
        provider.usage.create(minute=timezone.now(), requests=12, tokens=3900)
        visitor.page.goto(f"{LIST}{provider.pk}/change/")
        card = visitor.page.get_by_role("region", name="What it can do")
        expect(card).to_contain_text("voices designed from a description")
        expect(card).to_contain_text("None of its own; Neiroha stretches the sound.")
        expect(card).to_contain_text("Load the model, unload it")
        visitor.assert_fits(width)
        visitor.shot(f"provider-{width}")
        visitor.page.goto(f"{LIST}{provider.pk}/voices/")
        visitor.assert_fits(width)
        visitor.shot(f"provider-voices-{width}")
