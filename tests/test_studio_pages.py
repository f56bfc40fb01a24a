"""Quick TTS and the archive of takes on the server: who may do what, what is asked of the engine, what is shown."""

from __future__ import annotations

import gc
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from django.contrib.auth.models import User
from django.db.models.fields.files import FieldFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from banks.models import Bank, Character
from banks.storage import StorageFailed, StorageFull
from providers.models import Provider
from providers.queue import Priority
from providers.speech import AudioFormat
from studio.audio import asked_part
from studio.cards import MOST_LINES, drawn, file_name, waveform_path
from studio.files import QuotaSpent, folder
from studio.models import MEGABYTE, MOST_OPEN, StudioSettings, Take, TakeState
from studio.runner import TakeBroken
from studio.views import A_PAGE
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.projects import RIGHTS
from tests.studio import (
    ACT,
    PRODUCER,
    QUICK,
    TAKES,
    ask,
    browser_of,
    claimed,
    done,
    ended,
    file_of,
    post,
    queued,
    signed_in,
    somebody,
    stored,
)
from tests.test_api_streams import eventually, snapshot
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

SETTINGS = "/admin/studio/studiosettings/1/change/"
SENTENCE = "The quick brown fox jumps over the lazy dog."

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_folder() -> Iterator[None]:
    """Of what other tests have left, too."""
    empty()
    yield
    empty()


def empty() -> None:
    for path in folder().iterdir() if folder().is_dir() else ():
        path.unlink()


@pytest.fixture
def ann() -> User:
    return somebody("ann", *PRODUCER)


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    add_character(bank, Provider.objects.create(name="Inside", kind="embedded"), "Heart")
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return stories.characters.get()


def act(client: Client, name: str, *takes: Take, follow: bool = True, **values: Any) -> Any:
    return client.post(ACT, {"act": name, "take": [take.pk for take in takes], **values}, follow=follow)


def asked(speaker: Character, **values: Any) -> dict[str, Any]:
    place = speaker.memberships.get()
    data = {"character": f"{place.bank_id}-{speaker.pk}", "text": "Hello there.", "format": "mp3", "speed": "1"}
    return data | values


def said(page: Any) -> str:
    assert page.status_code == 200, page.status_code
    return str(page.content.decode())


# Who may do what.

NEEDED = [
    pytest.param("get", QUICK, "add", id="quick"),
    pytest.param("post", QUICK, "add", id="generate"),
    pytest.param("get", TAKES, "view", id="archive"),
    pytest.param("get", "/studio/takes/{pk}/", "view", id="card"),
    pytest.param("get", "/studio/takes/{pk}/audio", "view", id="audio"),
    pytest.param("cancel", ACT, "add", id="cancel"),
    pytest.param("retry", ACT, "add", id="retry"),
    pytest.param("keep", ACT, "change", id="keep"),
    pytest.param("let_go", ACT, "change", id="let-go"),
    pytest.param("delete", ACT, "delete", id="delete"),
]


def visit(client: Client, how: str, path: str, take: Take) -> Any:
    if path == ACT:
        return act(client, how, take, follow=False)
    return getattr(client, how)(path.format(pk=take.pk))


@pytest.mark.parametrize(("how", "path", "right"), NEEDED)
def test_every_page_and_action_has_its_own_right(heart: Character, how: str, path: str, right: str) -> None:
    others = [f"studio.{each}_take" for each in ("add", "view", "change", "delete") if each != right]
    outsider, insider = somebody("bob", *others, "banks.view_character"), somebody("eve", f"studio.{right}_take")
    take = done(outsider, heart)
    assert visit(signed_in(outsider), how, path, take).status_code == 403
    assert visit(signed_in(insider), how, path, done(insider, heart)).status_code in (200, 302)
    for stranger in (Client(), signed_in(User.objects.create(username="guest"))):
        assert visit(stranger, how, path, take)["Location"].startswith("/admin/login/")
    take.refresh_from_db()
    assert not take.kept


def test_other_peoples_takes_do_not_exist(ann: User, heart: Character) -> None:
    bob = somebody("bob", *PRODUCER)
    take, running = done(bob, heart, text="Only for Bob."), claimed(bob, heart, text="Bob again.")
    client = signed_in(ann)
    assert client.get(f"/studio/takes/{take.pk}/").status_code == 404
    assert client.get(f"/studio/takes/{take.pk}/audio").status_code == 404
    assert "Bob" not in said(client.get(TAKES)) + said(client.get(QUICK))
    for name in ("cancel", "retry", "keep", "delete"):
        assert "It is not there any more." in said(act(client, f"{name}:{take.pk}"))
        assert "Tick the takes first." in said(act(client, name, take, running))
    assert not Take.objects.filter(owner=ann).exists()
    take.refresh_from_db()
    running.refresh_from_db()
    assert (take.state, take.kept, running.state) == ("done", False, "running") and file_of(take)


def test_a_superuser_sees_all_and_whose_they_are(ann: User, heart: Character) -> None:
    take = done(ann, heart, text="Spoken for Ann.")
    boss = signed_in(somebody("boss", superuser=True))
    page = said(boss.get(TAKES))
    assert "Spoken for Ann." in page and "· ann" in page
    assert "Spoken for Ann." not in said(boss.get(QUICK)), "the latest are one's own"
    act(boss, f"keep:{take.pk}")
    take.refresh_from_db()
    assert take.kept


def test_a_viewer_is_offered_nothing_that_is_refused(heart: Character) -> None:
    viewer = somebody("viewer", "studio.view_take")
    done(viewer, heart)
    client = signed_in(viewer)
    page = said(client.get(TAKES))
    assert "<audio" in page and "Download WAV" in page
    assert 'name="act"' not in page and f'href="{QUICK}"' not in page and "Quick TTS" not in page


def test_forms_need_their_token(ann: User, heart: Character) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = signed_in(ann).cookies
    take = done(ann, heart)
    assert strict.post(QUICK, asked(heart)).status_code == 403
    assert strict.post(ACT, {"act": f"delete:{take.pk}"}).status_code == 403
    assert Take.objects.count() == 1


def test_only_the_ways_that_are_there(ann: User, heart: Character) -> None:
    client, take = signed_in(ann), done(ann, heart)
    assert client.get(ACT).status_code == client.post(TAKES).status_code == 405
    assert client.post(f"/studio/takes/{take.pk}/audio").status_code == 405
    for name in ("", "explode", "delete_all", ":", f"Delete:{take.pk}"):
        assert act(client, name, take, follow=False).status_code == 403
    for key in ("x", "-1", "9" * 30, "٣", f"{take.pk} or 1=1"):
        assert "It is not there any more." in said(act(client, f"delete:{key}"))
    assert Take.objects.count() == 1


@pytest.mark.parametrize(
    "foreign", ["https://evil.example/studio/", "//evil.example/studio/", "/admin/", "", "javascript:0"]
)
def test_an_action_leads_back_to_our_own_pages_only(ann: User, heart: Character, foreign: str) -> None:
    client, take = signed_in(ann), done(ann, heart)
    assert act(client, f"keep:{take.pk}", follow=False, next=foreign)["Location"] == TAKES
    assert act(client, f"keep:{take.pk}", follow=False, next=f"{TAKES}?page=2")["Location"] == f"{TAKES}?page=2"


# The form.

BAD = [
    pytest.param({"text": ""}, "text", "required", id="empty"),
    pytest.param({"text": " \r\n "}, "text", "required", id="blank"),
    pytest.param({"text": "… — !"}, "text", "no words", id="no-words"),
    pytest.param({"text": "a" * 5001}, "text", "5001 characters; at most 5000", id="too-long"),
    pytest.param({"text": "a\0b"}, "text", "Null characters", id="null"),
    pytest.param({"character": ""}, "character", "required", id="nobody"),
    pytest.param({"character": "0-999999"}, "character", "choose another", id="unknown"),
    pytest.param({"character": "<script>"}, "character", "choose another", id="hostile"),
    pytest.param({"format": "exe"}, "format", "valid choice", id="format"),
    pytest.param({"speed": ""}, "speed", "required", id="no-speed"),
    pytest.param({"speed": "0.1"}, "speed", "greater than or equal to 0.25", id="slow"),
    pytest.param({"speed": "9"}, "speed", "less than or equal to 4", id="fast"),
    pytest.param({"speed": "nan"}, "speed", "Enter a number", id="nan"),
    pytest.param({"instruction": "Whisper."}, "instruction", "can't follow instructions", id="instruction"),
    pytest.param({"instruction": "a" * 2001}, "instruction", "at most 2000", id="long-instruction"),
]


@pytest.mark.parametrize(("values", "field", "reason"), BAD)
def test_bad_input_ends_in_a_message_at_the_field(
    ann: User, heart: Character, values: dict[str, str], field: str, reason: str
) -> None:
    page = signed_in(ann).post(QUICK, asked(heart, **values))
    text = said(page)
    assert list(page.context["form"].errors) == [field]
    assert reason in page.context["form"].errors[field][0]
    assert text.count('class="nr-error" id="id_') == 1 and f'id="id_{field}_error"' in text
    assert "<script>" not in text.split('id="nr-quick"')[1]
    assert not Take.objects.exists()


def test_whoever_has_no_room_is_told_above_the_form(ann: User, heart: Character) -> None:
    take = done(ann, heart)
    StudioSettings.load()
    StudioSettings.objects.update(quota_mb=1)
    Take.objects.filter(pk=take.pk).update(size=MEGABYTE)
    client = signed_in(ann)
    page = said(client.post(QUICK, asked(heart)))
    assert "delete some of them, then try again" in page and "Your takes use 1.0 MB of 1 MB." in page
    assert "delete some of them, then try again" in said(act(client, f"retry:{take.pk}"))
    assert Take.objects.count() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda heart: Character.objects.update(enabled=False),
        lambda heart: heart.remove(),
        lambda heart: Provider.objects.update(enabled=False),
    ],
    ids=["switched-off", "archived", "provider-off"],
)
def test_who_can_not_speak_is_not_offered(ann: User, heart: Character, change: Callable[[Character], Any]) -> None:
    client, data = signed_in(ann), asked(heart)
    assert "Heart" in said(client.get(QUICK))
    change(heart)
    page = client.post(QUICK, data)
    assert "choose another" in page.context["form"].errors["character"][0]
    assert not Take.objects.exists()
    assert "There is no character yet that could speak." in said(client.get(QUICK))
    assert "Ask a producer or an administrator" in said(client.get(QUICK))
    boss = said(signed_in(somebody("boss", superuser=True)).get(QUICK))
    assert "/admin/banks/character/add/" in boss and "/admin/providers/provider/" in boss


def test_characters_stand_under_their_banks_and_those_in_none_last(ann: User, stories: Bank) -> None:
    inside = Provider.objects.get()
    loner = Character.objects.create(name="Loner", provider=inside)
    Bank.objects.create(name="Gone").append(loner)
    Bank.objects.get(name="Gone").remove()
    inactive = Bank.objects.create(name="Drafts", active=False, position=5)
    both = add_character(stories, inside, "Both")
    inactive.append(both)
    form = signed_in(ann).get(QUICK).context["form"]
    offered = [(bank, [name for _key, name in people]) for bank, people in form.fields["character"].choices]
    assert offered == [("Stories", ["Heart", "Both"]), ("Drafts", ["Both"]), ("In no bank", ["Loner"])]


def test_a_characters_page_leads_here_with_it_chosen(stories: Bank) -> None:
    other = add_character(stories, Provider.objects.get(), "Other")
    boss = signed_in(somebody("boss", superuser=True))
    link = f"{QUICK}?character={other.pk}"
    assert link in said(boss.get(f"/admin/banks/character/{other.pk}/change/"))
    page = said(boss.get(link))
    assert f'value="{stories.pk}-{other.pk}" selected' in page
    for odd in ("", "x", "999999", "<b>", str(other.pk) * 9):
        assert " selected>Other" not in said(boss.get(QUICK, {"character": odd}))


# Generating, on the running server.


@dataclass
class House:
    """Ann's browser at the running server, whose bank has the embedded voice and one of a held upstream."""

    browser: httpx.Client
    app: OpenAIUpstream
    ann: User
    heart: Character
    alloy: Character

    def card(self, take: Take) -> str:
        page = self.browser.get(f"/studio/takes/{take.pk}/")
        assert page.status_code == 200
        return page.text


@pytest.fixture
def house(server: str, bank: Bank) -> Iterator[House]:
    ann = somebody("ann", *PRODUCER, "providers.view_provider")
    app = OpenAIUpstream(held=True)
    with serve(app) as url, browser_of(ann, server) as browser:
        provider = Provider.objects.create(name="<b>Up", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        alloy = add_character(bank, provider, "Alloy", voice="alloy", model="gpt-4o-mini-tts")
        yield House(browser, app, ann, bank.characters.get(name="Heart"), alloy)
        app.release(100)


@pytest.mark.parametrize("format", AudioFormat)
def test_what_is_generated_can_be_heard_in_every_format(house: House, format: AudioFormat) -> None:
    take = ended(ask(house.browser, house.heart, SENTENCE, format=format.value))
    assert (take.state, take.error) == (TakeState.DONE, "")
    answer = house.browser.get(f"/studio/takes/{take.pk}/audio")
    assert_heard(SENTENCE, answer.content)
    assert take.duration == pytest.approx(3.0, abs=1.0) and take.sample_rate in (24_000, 48_000)
    assert take.inference_ms and take.queue_ms is not None and take.real_time_factor
    card = house.card(take)
    for name in ("Length", "Waited", "Inference", "Real-time factor", "Sample rate", "Size"):
        assert f"<dt>{name}</dt>" in card
    assert f"Download {format.upper()}" in card and "data-nr-open" not in card
    assert card.count(f'd="{waveform_path(drawn(take.waveform))}"') == 2


def test_long_text_is_spoken_whole_with_a_true_length(house: House) -> None:
    text = " ".join([SENTENCE] * 9)
    take = ended(ask(house.browser, house.heart, text, format="flac"))
    assert take.state == TakeState.DONE and take.duration
    assert_heard(text, file_of(take))
    faster = ended(ask(house.browser, house.heart, text, format="wav", speed="2"))
    assert faster.duration and faster.duration < 0.7 * take.duration
    assert "<dt>Speed</dt> <dd>2</dd>" in house.card(faster)


def test_it_goes_through_the_shared_queue_in_ones_own_name(house: House) -> None:
    take = ask(house.browser, house.alloy, "Hello there.", instruction="Whisper.", speed="1.5", format="mp3")
    house.app.wait_for(lambda app: len(app.spoken) == 1)
    sent = house.app.spoken[0]
    assert (sent["input"], sent["instructions"], sent["response_format"]) == ("Hello there.", "Whisper.", "mp3")
    (ticket,) = snapshot().running
    assert (ticket.source, ticket.user_id, ticket.priority) == ("ann", house.ann.pk, Priority.INTERACTIVE)
    card = house.card(take)
    assert "Speaking" in card and "data-nr-open" in card and f'value="cancel:{take.pk}"' in card
    waiting = ask(house.browser, house.alloy, "Next.")
    eventually(lambda: len(snapshot().waiting) == 1)
    assert "Waiting for a place in the queue" in house.card(waiting) and "starts in about" in house.card(waiting)
    house.app.release(100)
    assert ended(take).state == ended(waiting).state == TakeState.DONE
    assert take.made_with.voice.provider == "<b>Up" and take.made_with.instruction == "Whisper."


def test_cancelling_ends_the_call_to_the_provider(house: House) -> None:
    running, waiting = ask(house.browser, house.alloy, "One."), ask(house.browser, house.alloy, "Two.")
    house.app.wait_for(lambda app: len(app.spoken) == 1)
    eventually(lambda: len(snapshot().waiting) == 1)
    for take in (waiting, running):
        page = post(house.browser, ACT, act=f"cancel:{take.pk}")
        assert page.status_code == 200
        assert Take.objects.get(pk=take.pk).state == TakeState.CANCELLED, "at once, not some time later"
    house.app.wait_for(lambda app: app.current == 0 and app.disconnects == 1)
    eventually(lambda: not snapshot().running and not snapshot().waiting)
    assert len(house.app.spoken) == 1 and stored() == set()
    card = house.card(running)
    assert "Cancelled" in card and "Try again" in card and "<audio" not in card


def test_the_queues_page_ends_a_take_too(house: House) -> None:
    running, waiting = ask(house.browser, house.alloy, "One."), ask(house.browser, house.alloy, "Two.")
    house.app.wait_for(lambda app: len(app.spoken) == 1)
    eventually(lambda: len(snapshot().waiting) == 1)
    token = house.browser.get("/admin/queue/").text.split('id="nr-cancel"')[1].split('value="')[1].split('"')[0]
    body = {"csrfmiddlewaretoken": token, "ticket": "mine"}
    house.browser.post("/admin/queue/cancel/", data=body, headers={"Referer": str(house.browser.base_url)})
    assert ended(running).state == ended(waiting).state == TakeState.CANCELLED
    house.app.wait_for(lambda app: app.current == 0)


def test_deleting_what_is_spoken_ends_it(house: House) -> None:
    take = ask(house.browser, house.alloy, "One.")
    house.app.wait_for(lambda app: len(app.spoken) == 1)
    page = post(house.browser, ACT, act=f"delete:{take.pk}")
    assert "1 take was deleted." in page.text and not Take.objects.exists()
    house.app.wait_for(lambda app: app.current == 0)
    assert stored() == set()


REFUSALS = [
    pytest.param([Refusal(400, "Only on <i>Sundays</i>.")], "Trying again as it is will fail", False, id="refused"),
    pytest.param(
        [Refusal(500, "Out of <i>memory</i>.")] * 3, "This may pass: trying again can help.", True, id="failed"
    ),
]


@pytest.mark.parametrize(("refusals", "advice", "helps"), REFUSALS)
def test_a_failure_shows_its_real_reason_and_can_be_tried_again(
    house: House, refusals: list[Refusal], advice: str, helps: bool
) -> None:
    house.app.switches.refusals = list(refusals)
    house.app.switches.held = False
    take = ended(ask(house.browser, house.alloy, SENTENCE))
    assert (take.state, take.retry_helps) == (TakeState.FAILED, helps)
    card = house.card(take)
    assert refusals[0].message.replace("<", "&lt;").replace(">", "&gt;") in card and refusals[0].message not in card
    assert advice in card and take.error_code in card
    Provider.objects.filter(kind="openai").update(max_concurrency=2)
    post(house.browser, ACT, act=f"retry:{take.pk}")
    again = ended(Take.objects.exclude(pk=take.pk).get())
    assert (again.state, again.text, again.owner) == (TakeState.DONE, SENTENCE, house.ann)
    assert_heard(SENTENCE, file_of(again))


def test_a_page_that_shows_takes_in_progress_is_followed_by_its_script(house: House) -> None:
    take = ask(house.browser, house.alloy, "Hello there.")
    page = house.browser.get(TAKES)
    assert f'data-nr-open="/studio/takes/{take.pk}/?archive"' in page.text
    fragment = house.browser.get(f"/studio/takes/{take.pk}/?archive")
    assert fragment.text.lstrip().startswith("<article") and 'name="take"' in fragment.text
    assert "no-cache" in fragment.headers["cache-control"]


# Keeping and deleting.


@pytest.mark.django_db(transaction=True)
def test_keeping_letting_go_and_deleting(ann: User, heart: Character) -> None:
    client, take = signed_in(ann), done(ann, heart)
    page = said(act(client, f"keep:{take.pk}"))
    assert "Keep no longer" in page and "Delete it for good" in page
    assert Take.objects.get().kept
    assert "Discard" in said(act(client, f"let_go:{take.pk}"))
    assert not Take.objects.get().kept
    assert "1 take was deleted." in said(act(client, f"delete:{take.pk}"))
    assert not Take.objects.exists() and stored() == set()


@pytest.mark.django_db(transaction=True)
def test_several_are_deleted_at_once_and_the_others_stay(ann: User, heart: Character) -> None:
    client, takes = signed_in(ann), [done(ann, heart) for _ in range(3)]
    assert "2 takes were deleted." in said(act(client, "delete", *takes[:2]))
    assert [one.pk for one in Take.objects.all()] == [takes[2].pk] and len(stored()) == 1
    assert "Tick the takes first." in said(act(client, "delete"))


def test_only_what_is_done_can_be_kept(ann: User, heart: Character) -> None:
    take = queued(ann, heart)
    assert "Only takes that are done can be kept." in said(act(signed_in(ann), f"keep:{take.pk}"))
    take.refresh_from_db()
    assert not take.kept


def test_what_is_open_is_not_tried_again(ann: User, heart: Character) -> None:
    take = queued(ann, heart)
    act(signed_in(ann), f"retry:{take.pk}")
    assert Take.objects.count() == 1


# Files.


def test_a_file_is_answered_as_players_and_people_need_it(server: str, bank: Bank) -> None:
    ann, heart = somebody("ann", *PRODUCER), bank.characters.get()
    take = done(ann, heart, seconds=20, text='Who\'s "there"?\r\nÄgypten / 你好')
    whole, path = file_of(take), f"/studio/takes/{take.pk}/audio"
    with browser_of(ann, server) as browser:
        answer = browser.get(path)
        assert answer.content == whole and answer.headers["content-length"] == str(len(whole))
        assert answer.headers["content-type"] == "audio/wav" and answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["x-content-type-options"] == "nosniff" and "private" in answer.headers["cache-control"]
        assert answer.headers["content-disposition"].startswith("inline")
        head = browser.head(path)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole)))
        part = browser.get(path, headers={"Range": "bytes=300000-600000"})
        assert part.status_code == 206 and part.content == whole[300_000:600_001]
        assert part.headers["content-range"] == f"bytes 300000-600000/{len(whole)}"
        beyond = browser.get(path, headers={"Range": f"bytes={len(whole)}-"})
        assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{len(whole)}"
        saved = browser.get(path + "?download")
        assert saved.content == whole
        kind, _, name = saved.headers["content-disposition"].partition("; ")
        assert kind == "attachment"
        assert unquote(name.partition("''")[2]) == "Heart - Who's there Ägypten 你好.wav"


def test_raw_samples_are_heard_as_wav_and_saved_as_they_are(server: str, bank: Bank) -> None:
    ann = somebody("ann", *PRODUCER)
    take = done(ann, bank.characters.get(), format="pcm")
    with browser_of(ann, server) as browser:
        path = f"/studio/takes/{take.pk}/audio"
        heard = browser.get(path)
        assert heard.headers["content-type"] == "audio/wav" and heard.content[:4] == b"RIFF"
        assert heard.content[44:] == file_of(take) == browser.get(path + "?download").content
        for start, end in ((0, 3), (40, 47), (44, 99), (100, 199)):
            part = browser.get(path, headers={"Range": f"bytes={start}-{end}"})
            assert part.content == heard.content[start : end + 1]


def test_requests_that_come_before_their_turn_leave_nothing_open(server: str, bank: Bank) -> None:
    """Each has a thread and a database connection of its own; what is left open fails the test as a warning."""
    ann = somebody("ann", *PRODUCER)
    take = done(ann, bank.characters.get())
    session, address = signed_in(ann).cookies["sessionid"].value, urlsplit(server)
    path = f"/studio/takes/{take.pk}/audio"
    lines = [f"GET {path} HTTP/1.1", f"Host: {address.netloc}", f"Cookie: sessionid={session}", "Range: bytes=0-9"]
    request, last = "\r\n".join([*lines, "\r\n"]).encode(), "\r\n".join([*lines, "Connection: close", "\r\n"]).encode()
    with socket.create_connection((address.hostname, address.port), 60) as connection:
        connection.sendall(request * 9 + last)
        received = b"".join(iter(partial(connection.recv, 65536), b""))
    assert received.count(b"HTTP/1.1 206 ") == 10
    gc.collect()


def test_without_a_file_there_is_nothing_to_hear(ann: User, heart: Character) -> None:
    client, take = signed_in(ann), done(ann, heart)
    assert client.get(f"/studio/takes/{queued(ann, heart).pk}/audio").status_code == 404
    stored_file: FieldFile = take.file
    stored_file.storage.delete(stored_file.name or "")
    assert client.get(f"/studio/takes/{take.pk}/audio").status_code == 404
    assert client.get("/studio/takes/999999/audio").status_code == 404


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", range(10)),
        ("bytes=0-", range(10)),
        ("bytes=3-", range(3, 10)),
        ("bytes=3-3", range(3, 4)),
        ("bytes=3-99", range(3, 10)),
        ("bytes=-4", range(6, 10)),
        ("bytes=-99", range(10)),
        ("bytes=-0", None),
        ("bytes=10-", None),
        ("bytes=5-4", None),
        ("bytes=-", range(10)),
        ("bytes=0-1,3-4", range(10)),
        ("items=0-1", range(10)),
        ("bytes=٣-", range(10)),
    ],
)
def test_what_a_range_header_asks_for(header: str, part: range | None) -> None:
    assert asked_part(header, 10) == part


NAMES = [
    ("Heart", "Hello there.", "Heart - Hello there.mp3"),
    ("A/B\\C", "../../etc/passwd", "A B C - .. .. etc passwd.mp3"),
    ("Heart", 'line\r\nbreak "quoted" <b> | ? *', "Heart - line break quoted b.mp3"),
    ("Heart", "\u202etxt.exe", "Heart - txt.exe.mp3"),
    ("你好", "世界。", "你好 - 世界。.mp3"),
    ("x" * 100, "y", "x" * 60 + ".mp3"),
]


@pytest.mark.parametrize(("name", "text", "expected"), NAMES, ids=range(len(NAMES)))
def test_a_download_has_a_name_that_every_system_takes(
    ann: User, heart: Character, name: str, text: str, expected: str
) -> None:
    Character.objects.filter(pk=heart.pk).update(name=name)
    assert file_name(queued(ann, heart, text=text, format="mp3")) == expected


@given(levels=st.lists(st.integers(0, 100), max_size=400))
def test_a_waveform_stays_in_its_box(levels: list[int]) -> None:
    shown = drawn(levels)
    assert max(shown, default=0) == max(levels, default=0) and len(shown) <= MOST_LINES
    assert len(shown) == len(levels) or len(levels) > MOST_LINES
    lines = re.findall(r"M(\d+)\.5 ([\d.]+)v(\d+)", waveform_path(shown))
    assert [int(x) for x, _top, _height in lines] == list(range(len(shown)))
    assert all(float(top) >= 0 and float(top) + int(height) <= 100 for _x, top, height in lines)


# The archive.


def texts(client: Client, **query: str) -> list[str]:
    return [card["take"].text for card in client.get(TAKES, query).context["cards"]]


def test_search_and_filters(ann: User, stories: Bank) -> None:
    heart = stories.characters.get()
    other = add_character(stories, Provider.objects.get(), "Grandmother")
    for text, character, state, kept in (
        ("The red house", heart, "failed", False),
        ("A green 100% tree", other, "cancelled", False),
        ("The red tree", other, "cancelled", False),
    ):
        queued(ann, character, text=text, state=state, kept=kept)
    kept_one = done(ann, heart, text="Kept and done")
    Take.objects.filter(pk=kept_one.pk).update(kept=True)
    client = signed_in(ann)
    assert texts(client) == ["Kept and done", "The red tree", "A green 100% tree", "The red house"]
    assert texts(client, q="RED") == ["The red tree", "The red house"]
    assert texts(client, q="grandm") == ["The red tree", "A green 100% tree"], "by the character's name, too"
    assert texts(client, q="100%") == ["A green 100% tree"]
    assert texts(client, state="failed") == ["The red house"]
    assert texts(client, character=str(other.pk), q="tree") == ["The red tree", "A green 100% tree"]
    assert texts(client, kept="yes") == ["Kept and done"]
    assert len(texts(client, kept="no")) == 3
    assert texts(client, q="nothing like it") == []
    assert "No take fits this." in said(client.get(TAKES, {"q": "nothing like it"}))
    for odd in ({"state": "x"}, {"character": "x"}, {"character": "9" * 40}, {"kept": "maybe"}, {"q": "\0"}):
        assert len(texts(client, **odd)) == 4, odd
    offered = client.get(TAKES).context["filters"].fields["character"].choices
    assert [name for _pk, name in offered] == ["All", "Grandmother", "Heart"]


def test_pages_keep_what_was_asked_for(ann: User, heart: Character) -> None:
    for number in range(A_PAGE + 3):
        queued(ann, heart, text=f"Number {number} & more", state="failed")
    client = signed_in(ann)
    first = client.get(TAKES, {"q": "& more"})
    assert len(first.context["cards"]) == A_PAGE
    assert 'href="?q=%26+more&amp;page=2"' in said(first) and f"{A_PAGE + 3} takes" in said(first)
    second = client.get(TAKES, {"q": "& more", "page": "2"})
    assert len(second.context["cards"]) == 3
    for odd in ("0", "-1", "x", "99"):
        assert client.get(TAKES, {"page": odd}).status_code == 200


def test_an_empty_archive_says_what_to_do_next(ann: User) -> None:
    page = said(signed_in(ann).get(TAKES))
    assert "No takes yet." in page and "Make the first" in page and 'role="search"' not in page
    viewer = said(signed_in(somebody("viewer", "studio.view_take")).get(TAKES))
    assert "No takes yet." in viewer and "Make the first" not in viewer


def test_what_people_write_is_shown_as_they_wrote_it(ann: User, heart: Character) -> None:
    hostile = "<script>alert(1)</script> {{ 7|add:7 }} \"'"
    Character.objects.update(name="<b>Heart")
    Bank.objects.update(name="<i>Stories")
    take = queued(ann, heart, text=hostile)
    client = signed_in(ann)
    for page in (QUICK, TAKES, f"/studio/takes/{take.pk}/"):
        text = said(client.get(page))
        assert "<script>alert" not in text and "<b>Heart" not in text and "<i>Stories" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7|add:7 }}" in text and "&lt;b&gt;Heart" in text


def test_long_text_is_shown_in_part_and_whole_on_demand(ann: User, heart: Character) -> None:
    queued(ann, heart, text="word " * 200 + "end.")
    page = said(signed_in(ann).get(TAKES))
    assert "Whole text" in page and page.count("end.</p>") == 1


def test_a_full_archive_costs_few_queries(
    ann: User, stories: Bank, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    heart = stories.characters.get()
    for _number in range(A_PAGE):
        done(ann, heart)
    for number in range(10):
        add_character(stories, Provider.objects.get(), f"Nobody {number}")
    client = signed_in(somebody("boss", superuser=True))
    for path in (TAKES, QUICK):
        client.get(path)
        with django_assert_max_num_queries(15):
            assert client.get(path).status_code == 200


# The settings.


def test_settings_are_in_force_once_saved(ann: User, heart: Character) -> None:
    boss = signed_in(somebody("boss", superuser=True))
    assert boss.get("/admin/studio/studiosettings/")["Location"] == SETTINGS
    values = {"retention_days": "3", "quota_mb": "7", "max_text_characters": "10", "read_ahead": "3"}
    assert "Saved and in force." in said(boss.post(SETTINGS, values, follow=True))
    page = said(signed_in(ann).get(QUICK))
    assert "of 7 MB" in page and "after 3 days" in page and 'data-nr-longest="10"' in page
    refused = signed_in(ann).post(QUICK, asked(heart, text="Eleven char"))
    assert "at most 10 are spoken" in refused.context["form"].errors["text"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retention_days", "-1"),
        ("quota_mb", "x"),
        ("max_text_characters", "0"),
        ("max_text_characters", "50001"),
        ("read_ahead", "21"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field: str, value: str) -> None:
    boss = signed_in(somebody("boss", superuser=True))
    boss.get("/admin/studio/studiosettings/")
    values = {"retention_days": "3", "quota_mb": "7", "max_text_characters": "10", "read_ahead": "3", field: value}
    page = boss.post(SETTINGS, values)
    assert list(page.context["adminform"].form.errors) == [field]


def test_settings_are_for_those_who_may_change_them(ann: User) -> None:
    StudioSettings.load()
    assert signed_in(ann).get(SETTINGS).status_code == 403
    assert signed_in(ann).get("/admin/studio/studiosettings/").status_code == 403
    for path in ("/admin/studio/studiosettings/add/", "/admin/studio/studiosettings/1/delete/"):
        assert signed_in(somebody(f"boss{len(path)}", superuser=True)).get(path).status_code == 403


# The documentation.

DOCS = Path(__file__).resolve().parent.parent / "docs" / "studio.md"


def documented(section: str) -> list[list[str]]:
    """The cells of the tables under a heading."""
    text = DOCS.read_text().split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:3] == "| `"]


def test_every_setting_is_documented_with_its_default() -> None:
    text = DOCS.read_text()
    edited = [field for field in StudioSettings._meta.concrete_fields if not field.primary_key]
    assert len(edited) == 5
    for field in edited:
        assert f"| {field.verbose_name} | `{field.name}` | `{field.default}` |" in text
    assert f"can have {MOST_OPEN} takes in progress" in text


def test_every_code_and_right_of_ours_is_documented() -> None:
    own = {StorageFull, StorageFailed, QuotaSpent, TakeBroken}
    expected = {error.code: "no" if error.permanent else "yes" for error in own} | {"interrupted": "yes"}
    assert {row[0].strip("`"): row[1] for row in documented("When a take fails")} == expected
    rights = {row[0].strip("`") for row in documented("Who may do what")}
    assert rights == {*PRODUCER, *RIGHTS, "studio.change_studiosettings"}
