"""Speech that a bank keeps: what is asked for again costs no call, and who asks for the same at once shares one."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from django.utils import timezone

from api import runtime
from api.models import ApiKey
from banks import speech_cache
from banks.models import Bank, CacheUse, Character
from banks.speech_cache import SpeechCache
from providers import metrics
from providers.audio import encode
from providers.models import Provider
from providers.speech import AudioFormat
from tests.conftest import add_character
from tests.test_api_errors import change_settings, refusal
from tests.test_api_speech import SENTENCE
from tests.test_api_streams import asking, eventually, free, snapshot
from tests.test_request_log import written
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, serve

TONE = b"\x10\x00\xf0\xff" * 12_000
MP3 = encode(TONE, 24_000, AudioFormat.MP3)


def cache() -> SpeechCache:
    """The running application's."""
    (running,) = runtime._runtimes.values()
    return running.speech_cache


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider with two places, whose “Alloy” speaks in the bank, which keeps what it says."""
    app = OpenAIUpstream(speech=MP3, chunked=False)
    shutil.rmtree(cache().store.folder, ignore_errors=True)
    bank.cache_speech = True
    bank.save()
    with serve(app) as url:
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1", max_concurrency=2)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app


def alloy() -> Character:
    return Character.objects.get(name="Alloy")


def ask(client: httpx.Client, **fields: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"voice": "Alloy", "input": SENTENCE} | fields)


def told(response: httpx.Response) -> str:
    """What the answer says of the cache."""
    assert response.status_code == 200
    return str(response.headers.get("x-neiroha-cache", ""))


def landed() -> None:
    """Wait until no call is under way, and what came of it is kept."""
    eventually(lambda: not cache().flights)


def files() -> list[Path]:
    return [path for path in cache().store.folder.rglob("*") if path.is_file()]


def listeners(count: int) -> Callable[[], bool]:
    return lambda: sum(flight.listeners for flight in list(cache().flights.values())) == count


def test_it_is_off_by_default(client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream) -> None:
    assert Bank(name="New").cache_speech is False
    bank.cache_speech = False
    bank.save()
    assert [told(ask(client_http)) for _ in range(2)] == ["", ""]
    assert len(upstream.spoken) == 2 and not files()


def test_what_is_asked_for_again_costs_no_call(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    first = ask(client_http)
    landed()
    second = ask(client_http)
    assert (told(first), told(second)) == ("miss", "hit")
    assert len(upstream.spoken) == 1
    assert first.content == second.content == MP3
    for name in ("content-length", "content-type", "x-neiroha-voice", "x-neiroha-backend", "x-neiroha-model-preset"):
        assert first.headers[name] == second.headers[name], name
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert second.headers["x-neiroha-queue-ms"] == "0"


def test_hits_are_counted_and_their_sound_but_once(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    def figure(name: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(f"neiroha_{name}_total", labels) or 0.0

    provider = alloy().provider.name
    names = [("cache_requests", {"outcome": "miss"}), ("cache_requests", {"outcome": "hit"})]
    before = [figure(name, **labels) for name, labels in names]
    heard = figure("audio_seconds", provider=provider)
    assert told(ask(client_http, response_format="wav")) == "miss"
    landed()
    once = figure("audio_seconds", provider=provider)
    assert told(ask(client_http, response_format="wav")) == "hit"
    assert [figure(name, **labels) for name, labels in names] == [one + 1 for one in before]
    assert figure("audio_seconds", provider=provider) == once > heard


def test_a_hit_takes_no_place_in_the_queue_and_is_logged(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    change_settings(log_requests=True)
    ask(client_http)
    landed()
    upstream.switches.held = True
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(ask, client_http, input=f"Number {number}") for number in range(2)]
        upstream.wait_for(lambda now: now.current == 2)
        assert len(snapshot().running) == 2
        assert told(ask(client_http)) == "hit"
        upstream.release(2)
        assert [told(each.result(WAIT_SECONDS)) for each in busy] == ["miss", "miss"]
    rows = written(4)
    assert sorted(row.cache for row in rows) == ["hit", "miss", "miss", "miss"]
    hit = next(row for row in rows if row.cache == "hit")
    assert (hit.character, hit.provider, hit.bytes_sent, hit.status) == ("Alloy", "Upstream", len(MP3), 200)


@pytest.mark.parametrize(
    "change",
    [
        {"input": "Something else."},
        {"response_format": "wav"},
        {"speed": 1.5},
        {"instructions": "Whisper."},
    ],
    ids=str,
)
def test_what_sounds_different_is_another_answer(
    client_http: httpx.Client, upstream: OpenAIUpstream, change: dict[str, object]
) -> None:
    ask(client_http)
    landed()
    assert told(ask(client_http, **change)) == "miss"
    landed()
    assert told(ask(client_http, **change)) == "hit"
    assert len(upstream.spoken) == 2


@pytest.mark.parametrize(
    "change", [{"voice": "nova"}, {"model": "tts-1-hd"}, {"speed": 1.2}, {"instruction": "Whisper."}], ids=str
)
def test_a_changed_character_is_spoken_anew(
    client_http: httpx.Client, upstream: OpenAIUpstream, change: dict[str, object]
) -> None:
    ask(client_http)
    landed()
    Character.objects.filter(pk=alloy().pk).update(**change)
    alloy().save()
    assert told(ask(client_http)) == "miss"
    assert len(upstream.spoken) == 2


def test_the_text_counts_as_it_is_spoken(client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream) -> None:
    ask(client_http, input="Dr. Jekyll came.")
    landed()
    bank.pronunciations.create(written="Dr. Jekyll", spoken="Doctor Jeekl")
    assert told(ask(client_http, input="Dr. Jekyll came.")) == "miss"
    landed()
    assert told(ask(client_http, input="Doctor Jeekl came.")) == "hit"
    assert [body["input"] for body in upstream.spoken] == ["Dr. Jekyll came.", "Doctor Jeekl came."]


@pytest.mark.parametrize("audio_format", ["mp3", "wav"])
@pytest.mark.parametrize("how", [{"stream": True}, {"stream_format": "sse"}], ids=["stream", "sse"])
def test_a_stream_keeps_its_shape(
    client_http: httpx.Client, upstream: OpenAIUpstream, how: dict[str, object], audio_format: str
) -> None:
    first = ask(client_http, response_format=audio_format, **how)
    landed()
    second = ask(client_http, response_format=audio_format, **how)
    assert (told(first), told(second)) == ("miss", "hit") and len(upstream.spoken) == 1
    for response in (first, second):
        assert "content-length" not in response.headers
    if "stream" in how:
        assert first.content == second.content
    else:
        assert spoken_events(first) == spoken_events(second)


def spoken_events(response: httpx.Response) -> bytes:
    """The audio of the events, which end as they should."""
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert events[-1]["type"] == "speech.audio.done"
    return b"".join(base64.b64decode(event["audio"]) for event in events[:-1])


def test_a_stream_and_a_whole_answer_fill_it_for_each_other(
    client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    streamed = ask(client_http, stream=True)
    landed()
    whole = ask(client_http)
    assert told(whole) == "hit" and whole.content == streamed.content
    assert whole.headers["content-length"] == str(len(MP3))
    # The header of a streamed WAV can't know its sizes, that of a whole one states them.
    ask(client_http, stream=True, response_format="wav")
    landed()
    assert told(ask(client_http, response_format="wav")) == "miss"


def test_who_asks_for_the_same_at_once_shares_one_call(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.held = True
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, client_http) for _ in range(8)]
        eventually(listeners(8))
        upstream.release()
        answers = [each.result(WAIT_SECONDS) for each in asked]
    assert sorted(map(told, answers)) == ["miss", *["shared"] * 7]
    assert {answer.content for answer in answers} == {MP3}
    assert {answer.headers["content-length"] for answer in answers} == {str(len(MP3))}
    assert len(upstream.spoken) == 1


def test_a_failure_reaches_all_and_is_not_kept(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.held = True
    upstream.switches.refusals = [Refusal(400, "No such voice today.")]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, client_http) for _ in range(4)]
        eventually(listeners(4))
        upstream.release()
        answers = [each.result(WAIT_SECONDS) for each in asked]
    assert len({(answer.status_code, refusal(answer, answer.status_code)["message"]) for answer in answers}) == 1
    assert answers[0].status_code >= 400 and not files()
    upstream.switches.held = False
    assert told(ask(client_http)) == "miss"


def test_the_others_hear_to_the_end_when_the_first_leaves(
    server: str, client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    with ThreadPoolExecutor(2) as pool:
        with asking(server):
            eventually(listeners(1))
            others = [pool.submit(ask, client_http) for _ in range(2)]
            eventually(listeners(3))
        eventually(listeners(2))
        upstream.release()
        assert {each.result(WAIT_SECONDS).content for each in others} == {MP3}


def test_a_retry_after_a_cut_connection_finds_the_finished_audio(
    server: str, client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    with asking(server):
        upstream.wait_for(lambda now: now.current == 1)
        eventually(listeners(1))
    eventually(listeners(0))
    assert len(cache().flights) == 1 and upstream.disconnects == 0
    upstream.release()
    landed()
    again = ask(client_http)
    assert told(again) == "hit" and again.content == MP3
    assert len(upstream.spoken) == 1


def test_a_retry_joins_what_is_still_under_way(
    server: str, client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    with asking(server):
        upstream.wait_for(lambda now: now.current == 1)
        eventually(listeners(1))
    eventually(listeners(0))
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(ask, client_http)
        eventually(listeners(1))
        upstream.release()
        assert told(again.result(WAIT_SECONDS)) == "shared"
    assert len(upstream.spoken) == 1


def test_without_listeners_a_call_that_waits_in_the_queue_is_given_up(
    server: str, client_http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(ask, client_http, input=f"Number {number}") for number in range(2)]
        upstream.wait_for(lambda now: now.current == 2)
        with asking(server):
            eventually(lambda: len(snapshot().waiting) == 1)
        eventually(lambda: not snapshot().waiting)
        upstream.release(2)
        assert [told(each.result(WAIT_SECONDS)) for each in busy] == ["miss", "miss"]
    assert len(upstream.spoken) == 2


def test_calls_without_listeners_are_bounded(
    server: str, upstream: OpenAIUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_cache, "MOST_ORPHANS", 0)
    upstream.switches.held = True
    with asking(server):
        upstream.wait_for(lambda now: now.current == 1)
        eventually(listeners(1))
    upstream.wait_for(lambda now: now.disconnects == 1)
    landed()
    eventually(free)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-10]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes().replace(b"neiroha speech 1", b"neiroha speech 9")),
        lambda path: path.write_bytes(b"neiroha speech 1 [1, 2]\n" + MP3),
        lambda path: path.unlink(),
    ],
    ids=["cut", "empty", "of another version", "not ours", "missing"],
)
def test_a_damaged_file_counts_as_not_there(
    client_http: httpx.Client, upstream: OpenAIUpstream, damage: Callable[[Path], object]
) -> None:
    ask(client_http)
    landed()
    (path,) = files()
    damage(path)
    assert told(again := ask(client_http)) == "miss" and again.content == MP3
    landed()
    assert told(ask(client_http)) == "hit"


def test_where_nothing_can_be_written_the_answer_still_comes(
    client_http: httpx.Client, upstream: OpenAIUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").write_bytes(b"a file where a folder should be")
    monkeypatch.setattr(cache().store, "folder", tmp_path / "full")
    for _ in range(2):
        assert told(answer := ask(client_http)) == "miss" and answer.content == MP3
        landed()
    assert len(upstream.spoken) == 2


def test_a_key_without_right_to_the_bank_gets_nothing(
    client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream
) -> None:
    (_insider, inside), (outsider, outside) = ApiKey.objects.issue(name="in"), ApiKey.objects.issue(name="out")
    other = Bank.objects.create(name="Other", cache_speech=True)
    outsider.banks.add(other)
    body = {"voice": "Alloy", "input": SENTENCE, "model": "Stories"}
    client_http.post("/v1/audio/speech", json=body, headers={"Authorization": f"Bearer {inside}"})
    landed()
    answer = client_http.post("/v1/audio/speech", json=body, headers={"Authorization": f"Bearer {outside}"})
    assert answer.status_code == 404 and "x-neiroha-cache" not in answer.headers
    # The same character in another bank is another bank's speech.
    add_to = other.memberships.create(character=alloy())
    answer = client_http.post("/v1/audio/speech", json=body, headers={"Authorization": f"Bearer {outside}"})
    assert told(answer) == "miss" and add_to.pk


def test_what_a_fallback_has_said_is_not_kept(client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream) -> None:
    character = alloy()
    character.fallback = Character.objects.get(name="Heart")
    character.save()
    upstream.switches.refusals = [Refusal(401, "Not you.")]
    answer = ask(client_http)
    assert told(answer) == "miss" and answer.headers["x-neiroha-fallback-for"] == "Alloy"
    landed()
    assert not files()
    assert ask(client_http).content == MP3


@pytest.mark.parametrize("how", ["archive the character", "archive the bank", "delete the bank", "switch it off"])
def test_what_nobody_can_ask_for_is_removed(
    client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream, how: str
) -> None:
    ask(client_http)
    landed()
    assert len(files()) == 1
    match how:
        case "archive the character":
            character = alloy()
            character.archived_at = timezone.now()
            character.save()
        case "archive the bank":
            bank.archived_at = timezone.now()
            bank.save()
        case "delete the bank":
            bank.delete()
        case _:
            bank.cache_speech = False
            bank.save()
    eventually(lambda: not files())


def test_the_least_recently_used_go_first(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    for text in ("one", "two", "three"):
        ask(client_http, input=text)
        landed()
    assert told(ask(client_http, input="one")) == "hit"
    store = cache().store
    size = sum(path.stat().st_size for path in files())
    assert store.trim(size) == size and len(files()) == 3
    assert store.trim(size - 1) < size
    assert told(ask(client_http, input="one")) == "hit"
    assert told(ask(client_http, input="two")) == "miss"


def test_it_is_never_larger_than_the_settings_allow(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    change_settings(speech_cache_megabytes=1)
    upstream.switches.speech = MP3 * (300_000 // len(MP3))
    for number in range(8):
        ask(client_http, input=f"Number {number}")
        landed()
        assert sum(path.stat().st_size for path in files()) <= 1_000_000
    assert files()
    change_settings(speech_cache_megabytes=0)
    assert told(ask(client_http)) == ""


def test_uses_are_counted(client_http: httpx.Client, bank: Bank, upstream: OpenAIUpstream) -> None:
    for _ in range(3):
        ask(client_http)
        landed()

    def counted() -> bool:
        use = CacheUse.objects.filter(bank=bank).first()
        return use is not None and (use.hits, use.misses) == (2, 1)

    eventually(counted)


def test_a_long_text_is_not_kept(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    long = "word " * 1100
    assert [told(ask(client_http, input=long)) for _ in range(2)] == ["", ""]
    assert not files()


def test_several_pieces_are_kept_as_one(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    text = "This is one sentence of several. " * 130
    first = ask(client_http, input=text)
    landed()
    calls = len(upstream.spoken)
    second = ask(client_http, input=text)
    assert calls > 1 and len(upstream.spoken) == calls
    assert (told(first), told(second)) == ("miss", "hit") and first.content == second.content


def test_somebody_who_watches_the_queue_ends_it_for_all(client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.held = True
    (running,) = runtime._runtimes.items()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, client_http) for _ in range(3)]
        eventually(listeners(3))
        upstream.wait_for(lambda now: now.current == 1)
        (ticket,) = snapshot().running

        async def cancel() -> bool:
            return await running[1].engine.queue.cancel(ticket.id)

        assert asyncio.run_coroutine_threadsafe(cancel(), running[0]).result(WAIT_SECONDS)
        answers = [each.result(WAIT_SECONDS) for each in asked]
    assert len({answer.status_code for answer in answers}) == 1 and answers[0].status_code >= 400
    assert {refusal(answer, answer.status_code)["code"] for answer in answers} == {"cancelled"}
