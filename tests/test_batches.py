"""Batches on a running server: their pace, and what goes on when something goes wrong in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from banks.models import Bank, Character
from providers.models import Provider
from providers.queue import QueueSnapshot
from studio import files, runner
from studio.freshness import refresh
from studio.generate import Want, cancel, generate
from studio.lines import Draft, add
from studio.models import Project, Take
from tests.chaos import SOUND
from tests.conftest import add_character
from tests.studio import ACT, browser_of, ended, post, queued, somebody
from tests.test_api_streams import eventually, snapshot
from tests.upstreams.common import Refusal
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

pytestmark = pytest.mark.django_db(transaction=True)

AT_ONCE = 3


@pytest.fixture
def upstream(server: str) -> Iterator[OpenAIUpstream]:
    made = OpenAIUpstream(speech=SOUND, speech_type="audio/wav", prefix="")
    with serve(made) as url:
        made.url = url  # type: ignore[attr-defined]
        yield made
        made.release(1000)


@pytest.fixture
def ann() -> User:
    return somebody("ann", superuser=True)


@pytest.fixture
def alloy(upstream: Any) -> Character:
    provider = Provider.objects.create(name="Up", kind="openai", base_url=upstream.url, max_concurrency=AT_ONCE)
    return add_character(Bank.objects.create(name="Tales"), provider, "Alloy", voice="alloy", model="tts-1")


@pytest.fixture
def script(ann: User, alloy: Character) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=ann, format="wav")


def written(project: Project, character: Character, count: int) -> None:
    add(project, [Draft(f"Line {number}.", character_id=character.pk) for number in range(count)])


def ask_for_all(project: Project, want: Want = Want.MISSING) -> int:
    return generate(project, project.lines.all(), want, project.owner).queued


def all_ended(project: Project) -> bool:
    return not project.takes.open().exists()


def test_a_batch_keeps_to_its_providers_places_and_order(upstream: Any, script: Project, alloy: Character) -> None:
    upstream.switches.delay = 0.01
    written(script, alloy, 40)
    assert ask_for_all(script) == 40
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 40}
    assert upstream.peak == AT_ONCE
    numbers = [int(body["input"].removeprefix("Line ").removesuffix(".")) for body in upstream.spoken]
    assert max(abs(number - place) for place, number in enumerate(numbers)) < AT_ONCE
    assert {line.take_id for line in script.lines.all()} == set(script.takes.values_list("pk", flat=True))


def test_whoever_waits_in_front_of_a_page_goes_first(
    upstream: Any, script: Project, alloy: Character, ann: User
) -> None:
    upstream.switches.held = True
    written(script, alloy, 20)
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == AT_ONCE)
    quick = queued(ann, alloy, "Right now.")
    runner.wake()
    eventually(lambda: any(one.ticket.priority == 0 for one in snapshot().waiting))
    upstream.release()
    upstream.wait_for(lambda app: len(app.spoken) > AT_ONCE)
    assert upstream.spoken[AT_ONCE]["input"] == "Right now."
    upstream.release(100)
    assert ended(quick).state == "done"
    eventually(lambda: all_ended(script))


def test_a_small_batch_goes_on_beside_a_large_one_whose_provider_stands_still(
    upstream: Any, script: Project, alloy: Character, ann: User
) -> None:
    upstream.switches.held = True
    Provider.objects.update(max_concurrency=16)
    written(script, alloy, 40)
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == 16)
    with serve(OpenAIUpstream(speech=SOUND, speech_type="audio/wav", prefix="")) as url:
        other = Provider.objects.create(name="Other", kind="openai", base_url=url, max_concurrency=1)
        voice = add_character(alloy.memberships.get().bank, other, "Other", voice="alloy", model="tts-1")
        small = Project.objects.create(name="Small", kind="phase", owner=ann, format="wav")
        written(small, voice, 15)
        ask_for_all(small)
        eventually(lambda: all_ended(small))
    assert small.lines.counts() == {"done": 15} and script.lines.counts()["running"] == 32
    upstream.release(1000)
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 40}


def test_a_cancelled_project_gives_every_place_back(upstream: Any, script: Project, alloy: Character) -> None:
    upstream.switches.held = True
    written(script, alloy, 20)
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == AT_ONCE)
    assert cancel(script) == 20
    upstream.wait_for(lambda app: app.disconnects == AT_ONCE)
    eventually(idle)
    assert script.lines.counts() == {"missing": 20}
    assert len(upstream.spoken) == AT_ONCE, "nobody began with the others meanwhile"
    upstream.switches.held = False
    assert ask_for_all(script) == 20
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 20}


def idle() -> bool:
    now: QueueSnapshot = snapshot()
    return not now.running and not now.waiting


def test_a_line_that_fails_keeps_its_reason_and_the_others_go_on(
    upstream: Any, script: Project, alloy: Character
) -> None:
    upstream.switches.refusals = [Refusal(400, "This voice is not for children's books.")]
    written(script, alloy, 6)
    ask_for_all(script)
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"failed": 1, "done": 5}
    failed = script.takes.get(state="failed")
    assert "not for children's books" in failed.error and not failed.retry_helps
    assert ask_for_all(script, Want.FAILED) == 1
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 6} and len(upstream.spoken) == 7


def test_a_provider_that_is_switched_off_stops_its_own_lines_only(
    upstream: Any, script: Project, alloy: Character, bank: Bank
) -> None:
    heart = bank.characters.get()
    written(script, alloy, 10)
    written(script, heart, 2)
    upstream.switches.held = True
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == AT_ONCE)
    Provider.objects.filter(name="Up").update(enabled=False)
    upstream.switches.held = False
    upstream.release(100)
    eventually(lambda: all_ended(script))
    counts = script.lines.counts()
    assert counts["done"] + counts["failed"] == 12 and counts["done"] >= 2 + AT_ONCE
    (reason,) = set(script.takes.filter(state="failed").values_list("error", flat=True))
    assert reason == "Provider “Up” is switched off or was removed: choose another voice."
    assert list(generate(script, script.lines.all(), Want.FAILED, script.owner).refused) == [
        "The provider of “Alloy” is switched off or was removed: choose another character."
    ]
    Provider.objects.update(enabled=True)
    ask_for_all(script, Want.FAILED)
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 12}


def test_what_is_queued_outlives_its_character(upstream: Any, script: Project, alloy: Character) -> None:
    upstream.switches.held = True
    written(script, alloy, 8)
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == AT_ONCE)
    alloy.archived_at = alloy.created_at
    alloy.save()
    upstream.switches.held = False
    upstream.release(100)
    eventually(lambda: all_ended(script))
    refresh(Project.objects.get())
    assert script.lines.counts() == {"done": 8}, "an archived character's audio is not stale"


def test_a_batch_waits_for_room_on_the_disk(
    upstream: Any, script: Project, alloy: Character, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "FULL_SECONDS", 0.05)
    monkeypatch.setattr(files, "RESERVE_BYTES", 1 << 62)
    written(script, alloy, 5)
    ask_for_all(script)
    quick = queued(ann, alloy, "Right now.")
    runner.wake()
    assert ended(quick).state == "done", "somebody who waits is still served"
    assert script.lines.counts() == {"queued": 5}
    monkeypatch.setattr(files, "RESERVE_BYTES", 1)
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"done": 5} and len(upstream.spoken) == 6


def test_the_page_of_takes_cancels_one_of_a_batch(
    server: str, upstream: Any, script: Project, alloy: Character, ann: User
) -> None:
    upstream.switches.held = True
    written(script, alloy, 2)
    ask_for_all(script)
    upstream.wait_for(lambda app: app.current == 2)
    with browser_of(ann, server) as browser:
        post(browser, ACT, act=f"cancel:{Take.objects.order_by('pk')[0].pk}")
    upstream.wait_for(lambda app: app.disconnects == 1)
    upstream.release(10)
    eventually(lambda: all_ended(script))
    assert script.lines.counts() == {"missing": 1, "done": 1}
