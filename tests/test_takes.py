"""Takes: what they freeze, who may take which step, their files, and what is cleared away."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, close_old_connections, transaction
from django.utils import timezone

from banks.models import Bank, Character, Membership, ReferenceAudio
from banks.roster import speaker_of
from providers.audio import encode, probe, wav_header, wav_sizes_are_true
from providers.database import in_database
from providers.engine import close_engine, current_engine
from providers.errors import BadAudio, ProviderUnavailable, QueueCancelled, UpstreamBusy, UpstreamRejected
from providers.models import Provider
from providers.speech import AudioFormat, TaskMode
from studio import claims, files, housekeeping, runner
from studio.cast import everybody, freeze
from studio.files import QuotaSpent, StorageFailed, StorageFull, TakeFile, finished, folder
from studio.frozen import FrozenVoice, MadeWith
from studio.models import MEGABYTE, MOST_OPEN, StudioSettings, Take, TakeState
from studio.models.takes import MOST_ATTEMPTS, Ending
from tests.conftest import add_character
from tests.server_process import manage, running_server
from tests.sounds import tone, transcoded, wav_file
from tests.studio import claimed, done, file_of, queued, somebody, stored
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

pytestmark = pytest.mark.django_db(transaction=True)

WAV = wav_file(tone(24_000, 0.5), 24_000)


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
    return somebody("ann")


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    add_character(bank, Provider.objects.create(name="Embedded", kind="embedded"), "Heart", speed=1.5)
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return stories.characters.get()


def made(seconds: float = 0.5) -> TakeFile:
    return finished(wav_file(tone(24_000, seconds), 24_000), AudioFormat.WAV)


def settings(**values: int) -> None:
    StudioSettings.load()
    StudioSettings.objects.update(**values)


# What is frozen.


def everything(bank: Bank) -> Character:
    """A character that uses every field, with a fallback."""
    provider = Provider.objects.create(name="Cellar", kind="voxcpm", base_url="http://127.0.0.1:9", api_key="sk-secret")
    return add_character(
        bank,
        provider,
        "Grandfather",
        task_mode="clone",
        model="m",
        voice="v",
        reference=ReferenceAudio.objects.create(name="r", file="references/r.wav", transcript="so", language="en"),
        language="de",
        instruction="slowly",
        speed=0.8,
        options={"cfg_value": 2.5},
        fallback=bank.characters.get(),
    )


def test_a_characters_values_survive_the_way_through_json(stories: Bank) -> None:
    speaker = speaker_of(everything(stories), "Stories", {})
    voice = FrozenVoice.of(speaker)
    assert (voice.task_mode, voice.reference, voice.prompt_text) == (TaskMode.CLONE, "references/r.wav", "so")
    assert voice.fallback is not None and voice.fallback.name == "Heart"
    asked = MadeWith(voice, speed=1.25, instruction="Whisper.")
    stored_text = json.dumps(asked.as_json())
    assert MadeWith.read(json.loads(stored_text)) == asked
    assert "sk-secret" not in stored_text and "127.0.0.1" not in stored_text
    configs = {one.pk: one.config() for one in Provider.objects.all()}
    assert voice.speaker(lambda frozen: configs[frozen.provider_id]) == speaker


def test_an_older_row_without_some_value_is_read_with_its_default() -> None:
    voice = {"name": "N", "bank": "", "provider_id": 1, "provider": "P", "kind": "embedded", "task_mode": "preset"}
    read = MadeWith.read({"voice": voice, "speed": 1, "instruction": ""})
    assert (read.voice.options, read.voice.fallback, read.speed) == ({}, None, 1.0)


def test_later_changes_of_the_character_do_not_reach_a_take(ann: User, heart: Character) -> None:
    take = queued(ann, heart)
    Character.objects.update(name="Another", speed=3.0)
    again = take.again(ann)
    speaker = claims.speaker_of(Take.objects.get(pk=take.pk))
    assert (speaker.name, speaker.bank, speaker.speed) == ("Heart", "Stories", 1.5)
    assert (again.made_with.voice.name, again.made_with.voice.speed) == ("Another", 3.0), "another attempt sees them"


def test_a_take_outlives_its_character(ann: User, heart: Character) -> None:
    take = queued(ann, heart, format="opus")
    heart.delete()
    take.refresh_from_db()
    assert take.character is None
    again = take.again(ann)
    assert (again.text, again.format, again.state) == (take.text, "opus", TakeState.QUEUED)
    assert again.made_with == take.made_with and claims.speaker_of(again).name == "Heart"


@pytest.mark.parametrize("change", [{"enabled": False}, {"archived_at": timezone.now()}, {"kind": "forgotten"}])
def test_without_its_provider_a_take_can_not_be_spoken(ann: User, heart: Character, change: dict[str, Any]) -> None:
    take = queued(ann, heart)
    Provider.objects.update(**change)
    with pytest.raises(ProviderUnavailable, match="“Embedded” is switched off or was removed"):
        claims.speaker_of(take)


def test_a_fallback_whose_provider_is_gone_is_left_out(ann: User, stories: Bank) -> None:
    take = queued(ann, everything(stories))
    assert take.made_with.voice.fallback is not None
    Provider.objects.filter(name="Embedded").update(enabled=False)
    assert claims.speaker_of(take).fallback is None


# Steps: each on the condition of the state before.


def test_only_one_claims_a_take(ann: User, heart: Character) -> None:
    take, won, barrier = queued(ann, heart), list[Take](), threading.Barrier(4)

    def claim() -> None:
        barrier.wait()
        won.extend(Take.objects.claim([take.pk]))
        close_old_connections()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.pk for one in won] == [take.pk]
    assert won[0].state == TakeState.RUNNING and won[0].started_at is not None


def test_done_has_a_whole_file_and_its_figures(ann: User, heart: Character) -> None:
    take, file = claimed(ann, heart), made()
    assert take.complete(file, queue_ms=12, inference_ms=250, spoken_by="")
    take.refresh_from_db()
    assert (take.state, take.size, take.duration, take.sample_rate) == ("done", file.size, 0.5, 24_000)
    assert take.real_time_factor == 0.5 and take.finished_at is not None
    assert max(take.waveform) > 20 and len(take.waveform) == 400
    assert file_of(take) == file.content
    assert stored() == {Path(take.file.name or "").name}
    mode = os.stat(folder() / Path(take.file.name or "").name).st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_what_was_cancelled_meanwhile_stores_nothing(ann: User, heart: Character) -> None:
    take = claimed(ann, heart)
    assert Take.objects.filter(pk=take.pk).cancel() == 1
    assert not take.complete(made()) and not take.fail(UpstreamBusy("Busy."))
    take.refresh_from_db()
    assert (take.state, take.file.name, take.error) == ("cancelled", "", "")
    assert stored() == set()


def test_nothing_is_cancelled_or_claimed_after_its_end(ann: User, heart: Character) -> None:
    take = done(ann, heart)
    assert Take.objects.filter(pk=take.pk).cancel() == 0
    assert Take.objects.put_back() == 0
    assert Take.objects.claim([take.pk]) == []
    cancelled = queued(ann, heart)
    cancelled_now = Take.objects.filter(pk=cancelled.pk).cancel()
    assert cancelled_now == 1 and Take.objects.claim([cancelled.pk]) == []


@pytest.mark.parametrize(("error", "helps"), [(UpstreamBusy("Busy."), True), (UpstreamRejected("No."), False)])
def test_a_failure_keeps_its_reason_and_whether_a_retry_helps(
    ann: User, heart: Character, error: Any, helps: bool
) -> None:
    take = claimed(ann, heart)
    assert take.fail(error)
    take.refresh_from_db()
    assert (take.state, take.error_code, take.error) == ("failed", error.code, error.message)
    assert take.retry_helps is helps


def test_cancelled_in_the_queue_is_cancelled(ann: User, heart: Character) -> None:
    take = claimed(ann, heart)
    assert take.fail(QueueCancelled("This request was cancelled while it waited."))
    take.refresh_from_db()
    assert (take.state, take.error_code) == ("cancelled", "")


def test_no_row_is_done_without_a_file(ann: User, heart: Character) -> None:
    take = queued(ann, heart)
    with pytest.raises(IntegrityError):
        Take.objects.filter(pk=take.pk).update(state=TakeState.DONE)


# Files.


@pytest.mark.parametrize("format", AudioFormat)
def test_a_finished_file_says_its_true_length(format: AudioFormat) -> None:
    pcm = tone(24_000, 1.0)
    for spoken in (
        encode(pcm, 24_000, files.carrier(format)),
        transcoded(files.carrier(format), (AudioFormat.WAV, WAV)),
    ):
        file = finished(spoken, format)
        heard = file.content if format is not AudioFormat.PCM else wav_header(24_000, file.size) + file.content
        info = probe(heard)
        assert info.format is (format if format is not AudioFormat.PCM else AudioFormat.WAV)
        assert info.duration == pytest.approx(file.duration, abs=0.11)
        assert format is not AudioFormat.WAV or wav_sizes_are_true(file.content)


def test_a_whole_file_is_kept_as_it_came() -> None:
    for format in (AudioFormat.WAV, AudioFormat.MP3, AudioFormat.OPUS):
        spoken = encode(tone(24_000, 1.0), 24_000, format)
        assert finished(spoken, format).content == spoken


@pytest.mark.parametrize("format", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.WAV], ids=str)
def test_a_file_that_is_cut_off_is_no_take(format: AudioFormat) -> None:
    whole = encode(tone(24_000, 2.0), 24_000, format)
    with pytest.raises(BadAudio):
        finished(whole[: len(whole) // 2], format)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """What a quota of the system does: writing more ends in an error, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_on_the_disk_nothing_half_is_left(ann: User, heart: Character) -> None:
    take = claimed(ann, heart)
    large = TakeFile(bytes(12 * MEGABYTE), AudioFormat.WAV, 1.0, 24_000, [])
    with largest_file(10 * MEGABYTE), pytest.raises(StorageFull, match="disk is full: make room"):
        take.complete(large)
    take.refresh_from_db()
    assert take.state == TakeState.RUNNING and stored() == set()


def test_a_folder_that_can_not_be_written_to_is_named(ann: User, heart: Character) -> None:
    if folder().exists():
        folder().rmdir()
    folder().parent.mkdir(parents=True, exist_ok=True)
    folder().write_bytes(b"in the way")
    try:
        with pytest.raises(StorageFailed, match="can't write to its data folder"):
            claimed(ann, heart).complete(made())
    finally:
        folder().unlink()


def test_the_file_goes_with_the_take_however_that_goes(ann: User, heart: Character) -> None:
    done(ann, heart).delete()
    assert stored() == set()
    done(ann, heart)
    Take.objects.all().delete()
    assert stored() == set()
    done(ann, heart)
    ann.delete()
    assert stored() == set() and not Take.objects.exists()


# The quota.


def test_a_take_beyond_the_quota_fails_and_is_not_stored(ann: User, heart: Character) -> None:
    settings(quota_mb=1)
    assert claimed(ann, heart).complete(made(15))
    take, bob = claimed(ann, heart), somebody("bob")
    assert not take.complete(made(15))
    take.refresh_from_db()
    assert (take.state, take.error_code, take.retry_helps) == ("failed", "quota_spent", True)
    assert "all of the 1 MB" in take.error
    assert len(stored()) == 1
    assert claimed(bob, heart).complete(made(15)), "everybody has an own one"
    settings(quota_mb=0)
    assert claimed(ann, heart).complete(made(15)), "0 is no limit"


def test_what_ends_together_shares_the_quota(ann: User, heart: Character) -> None:
    """Two of three fit, whichever transaction they end in."""
    settings(quota_mb=1)
    takes = [claimed(ann, heart) for _ in range(3)]
    file = made(8)
    endings = [Ending.done(take, files.write(file), file) for take in takes]
    assert Take.objects.settle(endings) == [TakeState.DONE, TakeState.DONE, TakeState.FAILED]
    assert Take.objects.filter(error_code="quota_spent").get() == takes[2]


def test_without_room_in_the_quota_nothing_is_spoken(ann: User, heart: Character) -> None:
    settings(quota_mb=1)
    Take.objects.filter(pk=done(ann, heart).pk).update(size=MEGABYTE)
    queued(ann, heart)
    (claim,) = claims.interactive()
    assert claim.speaker is None and isinstance(claim.error, QuotaSpent)


def test_whoever_has_used_it_up_can_not_ask_for_more(ann: User, heart: Character) -> None:
    take = done(ann, heart)
    settings(quota_mb=1)
    Take.objects.require_room(ann)
    Take.objects.filter(pk=take.pk).update(size=MEGABYTE)
    with pytest.raises(ValidationError, match="delete some of them"):
        Take.objects.require_room(ann)
    Take.objects.require_room(somebody("bob"))


def test_nobody_has_more_than_some_takes_open(ann: User, heart: Character) -> None:
    for number in range(MOST_OPEN):
        Take.objects.require_room(ann)
        queued(ann, heart, text=f"Number {number}.")
    with pytest.raises(ValidationError, match="wait for them, or cancel some"):
        Take.objects.require_room(ann)
    Take.objects.require_room(somebody("bob"))


# What is cleared away.


def test_old_takes_are_discarded_with_their_files_unless_they_are_kept(ann: User, heart: Character) -> None:
    old, kept, young = (done(ann, heart, days_ago=days) for days in (15, 15, 13))
    Take.objects.filter(pk=kept.pk).update(kept=True)
    failed = claimed(ann, heart, created_at=timezone.now() - timedelta(days=15))
    failed.fail(UpstreamBusy("Busy."))
    running = claimed(ann, heart, created_at=timezone.now() - timedelta(days=15))
    housekeeping.sweep()
    assert set(Take.objects.values_list("pk", flat=True)) == {kept.pk, young.pk, running.pk}
    assert stored() == {Path(one.file.name or "").name for one in (kept, young)}
    assert old.file.name not in stored()


def test_without_a_retention_nothing_is_discarded(ann: User, heart: Character) -> None:
    settings(retention_days=0)
    done(ann, heart, days_ago=5000)
    housekeeping.sweep()
    assert Take.objects.count() == 1


def old_file(name: str) -> Path:
    folder().mkdir(parents=True, exist_ok=True)
    path = folder() / name
    path.write_bytes(b"left over")
    long_ago = time.time() - 2 * files.ORPHAN_SECONDS
    os.utime(path, (long_ago, long_ago))
    return path


def test_files_that_no_take_names_are_removed_once_they_are_old(ann: User, heart: Character) -> None:
    take = done(ann, heart)
    named = folder() / Path(take.file.name or "").name
    os.utime(named, (0, 0))
    orphan, fresh = old_file("a" * 32 + ".wav"), folder() / ("b" * 32 + ".wav")
    part = old_file("c" * 32 + ".wav.part")
    fresh.write_bytes(b"just being finished")
    housekeeping.sweep()
    assert named.exists() and fresh.exists() and not orphan.exists() and not part.exists()


def test_a_new_start_queues_again_what_was_interrupted(ann: User, heart: Character) -> None:
    running, waiting, finished_take = claimed(ann, heart), queued(ann, heart), done(ann, heart)
    tried = claimed(ann, heart)
    Take.objects.filter(pk=tried.pk).update(attempts=MOST_ATTEMPTS)
    folder().mkdir(parents=True, exist_ok=True)
    (folder() / ("d" * 32 + ".mp3.part")).write_bytes(b"half")
    housekeeping.recover()
    states = dict(Take.objects.values_list("pk", "state"))
    assert states == {running.pk: "queued", waiting.pk: "queued", finished_take.pk: "done", tried.pk: "failed"}
    tried.refresh_from_db()
    assert (tried.error_code, tried.retry_helps) == ("interrupted", True) and "stopped 5 times" in tried.error
    assert stored() == {Path(finished_take.file.name or "").name}
    (again,) = Take.objects.claim([running.pk])
    assert (again.attempts, again.claim != running.claim) == (2, True)
    assert not running.complete(made()), "the first claim of it counts no more"
    assert again.complete(made())


# The runner, on a loop of its own.


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await in_database(holds):
            await asyncio.sleep(0.01)


def spoken(make: Callable[[], Take]) -> Take:
    """The take that is queued once a runner is there, when that has done all that it does for it."""

    async def run() -> Take:
        started = runner.open_runner(current_engine())
        try:
            take = await in_database(make)
            started.wake()
            await until(lambda: not Take.objects.get(pk=take.pk).is_open)
            return take
        finally:
            await runner.close_runner()
            await close_engine()

    take = asyncio.run(run())
    take.refresh_from_db()
    return take


def test_a_full_disk_ends_in_a_clear_failed_take(ann: User, stories: Bank) -> None:
    upstream = OpenAIUpstream(speech=wav_file(tone(24_000, 260), 24_000), speech_type="audio/wav")
    with serve(upstream) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1")
        alloy = add_character(stories, provider, "Alloy", voice="alloy", model="tts-1")
        with largest_file(10 * MEGABYTE):
            take = spoken(lambda: queued(ann, alloy))
    assert (take.state, take.error_code, take.retry_helps) == ("failed", "storage_full", True)
    assert "make room on it, then try again" in take.error
    assert stored() == set()


def test_a_fault_of_our_own_ends_the_take_and_is_logged(
    ann: User, heart: Character, caplog: pytest.LogCaptureFixture
) -> None:
    @transaction.atomic
    def broken() -> Take:
        take = queued(ann, heart)
        Take.objects.filter(pk=take.pk).update(made_with_json={"voice": "not a voice"})
        return take

    take = spoken(broken)
    assert (take.state, take.error_code) == ("failed", "internal_error")
    assert "ask for it anew" in take.error
    assert f"Take {take.pk} can't be read." in caplog.text


def test_a_fallback_that_spoke_is_named(ann: User, stories: Bank) -> None:
    down = Provider.objects.create(name="Down", kind="openai", base_url="http://127.0.0.1:9/v1", api_key="k")
    heart = stories.characters.get()
    alloy = add_character(stories, down, "Alloy", voice="alloy", model="tts-1", fallback=heart)
    take = spoken(lambda: queued(ann, alloy))
    assert (take.state, take.spoken_by) == ("done", "Heart")


def test_what_is_not_queued_is_not_spoken(ann: User, heart: Character) -> None:
    take = spoken(lambda: queued(ann, heart, state=TakeState.CANCELLED))
    assert take.state == TakeState.CANCELLED and take.started_at is None


def test_outside_a_server_a_take_waits(ann: User, heart: Character) -> None:
    take = queued(ann, heart)
    runner.wake()
    assert runner.stages() == {}
    assert runner.cancel([take.pk]) == 1
    take.refresh_from_db()
    assert take.state == TakeState.CANCELLED


# A server that dies.

PREPARE = """
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from banks.models import Character
from providers.models import Provider
user = User.objects.create_superuser("admin")
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session.save()
provider = Provider.objects.create(name="Up", kind="openai", base_url="%s/v1")
character = Character.objects.create(name="Alloy", provider=provider, voice="alloy", model="tts-1")
print("ready", session.session_key, character.pk)
"""
SHOW = """
from studio.models import Take
for take in Take.objects.order_by("pk"):
    print("take", take.state, take.attempts, bool(take.file))
"""


def test_a_killed_servers_take_is_spoken_by_the_next(tmp_path: Path) -> None:
    upstream = OpenAIUpstream(held=True)
    with serve(upstream) as url:
        manage(tmp_path, "migrate")
        shell = partial(manage, tmp_path, "shell", "--no-imports", "-c")
        _ready, session, character = shell(PREPARE % url).stdout.split()
        with running_server(tmp_path) as server:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60, cookies={"sessionid": session}) as http:
                token = http.get("/studio/").text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
                body = {"csrfmiddlewaretoken": token, "character": f"0-{character}", "text": "Spoken in the end."}
                asked = http.post(
                    "/studio/", data=body | {"format": "mp3", "speed": "1"}, headers={"Referer": server.url}
                )
                assert asked.status_code == 302, asked.text
            upstream.wait_for(lambda app: len(app.spoken) == 1)
            server.kill()
        assert shell(SHOW).stdout.split() == ["take", "running", "1", "False"]
        (tmp_path / "files" / "takes").mkdir(parents=True, exist_ok=True)
        part = tmp_path / "files" / "takes" / ("e" * 32 + ".mp3.part")
        part.write_bytes(b"half")
        upstream.release(100)
        with running_server(tmp_path) as server:
            eventually(lambda: "done" in shell(SHOW).stdout)
            assert "1 takes were interrupted" in server.output
            server.end()
    assert shell(SHOW).stdout.split() == ["take", "done", "2", "True"]
    assert len(upstream.spoken) == 2 and not part.exists()


def test_membership_is_no_condition_for_speaking(heart: Character) -> None:
    Membership.objects.all().delete()
    assert [(part.key, part.bank) for part in everybody()] == [(f"0-{heart.pk}", "")]
    assert freeze(heart.pk, "") is not None and freeze(None, "") is None
