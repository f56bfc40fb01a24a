"""What a job spoke, over the wire: one file, a part of it, or all of them in a ZIP."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from api.jobs.zipping import CHUNK_BYTES, safe_name
from banks.storage import private_storage
from providers.speech import AudioFormat
from studio.models import Take
from tests.jobs import SOUND, Caller, house
from tests.test_api_errors import refusal
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream, Refusal

House = tuple[Caller, OpenAIUpstream]


@pytest.fixture
def place(server: str) -> Iterator[House]:
    with house(server) as made:
        yield made


def files(response_content: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(response_content)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {ZIP_STORED}
        return {name: archive.read(name) for name in archive.namelist()}


def path_of(take: Take) -> Path:
    return Path(private_storage().path(take.file.name or ""))


def test_one_file_whole_in_part_and_by_its_head(place: House) -> None:
    caller, _ = place
    job = caller.ended(caller.made(input="One."))
    for query in ("", "?item=0"):
        whole = caller.get(job, "/audio" + query)
        assert (whole.status_code, whole.content) == (200, SOUND)
        assert whole.headers["content-type"] == "audio/wav" and whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["content-length"] == str(len(SOUND))
        assert whole.headers["content-disposition"] == f'attachment; filename="{job["id"]}-0000.wav"'
        assert whole.headers["x-request-id"].startswith("req_")
    head = caller.http.head(job["audio_url"])
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(SOUND)))
    part = caller.get(job, "/audio", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, SOUND[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(SOUND)}"
    last = caller.get(job, "/audio", headers={"Range": "bytes=-7"})
    assert (last.status_code, last.content) == (206, SOUND[-7:])
    beyond = caller.get(job, "/audio", headers={"Range": f"bytes={len(SOUND)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(SOUND)}")


@pytest.mark.parametrize("format", AudioFormat)
def test_each_format_has_its_type(place: House, format: AudioFormat) -> None:
    caller, upstream = place
    upstream.switches.speech, upstream.switches.speech_type = None, ""
    job = caller.ended(caller.made(input="One.", response_format=format.value))
    assert job["status"] == "completed", job
    assert caller.get(job, "/audio").headers["content-type"] == format.content_type


def test_one_of_many_by_its_index_or_its_own_name(place: House) -> None:
    caller, _ = place
    job = caller.made(inputs=[{"input": "One."}, {"input": "Two.", "custom_id": "a/b ä", "response_format": "pcm"}])
    job = caller.ended(job)
    by_index, by_name = caller.get(job, "/audio?item=1"), caller.get(job, "/audio", params={"custom_id": "a/b ä"})
    assert by_index.content == by_name.content == SOUND[44:]
    assert by_name.headers["content-disposition"] == f'attachment; filename="{job["id"]}-0001-a_b.pcm"'
    assert refusal(caller.get(job, "/audio?item=2"), 404)["code"] == "item_not_found"
    assert refusal(caller.get(job, "/audio?custom_id=c"), 404)["param"] == "custom_id"
    for query in ("item=x", "item=-1", "item=1000", "item=1&custom_id=c", "item="):
        assert refusal(caller.get(job, "/audio?" + query), 400)["param"] in ("item", "custom_id")


def test_what_is_not_spoken_yet_is_to_be_asked_for_again(server: str) -> None:
    with house(server, held=True) as (caller, upstream):
        job = caller.several("One.", "Two.")
        for path in ("/audio", "/audio?item=1"):
            response = caller.get(job, path)
            assert refusal(response, 409)["code"] == "job_unfinished"
        upstream.wait_for(lambda app: app.current == 2)
        upstream.release()
        eventually(lambda: caller.now(job)["counts"]["done"] == 1)
        done = next(item for item in caller.now(job)["items"] if item["audio_url"])
        assert caller.http.get(done["audio_url"]).content == SOUND, "one is there before the others"
        response = caller.get(job, "/audio")
        assert refusal(response, 409) and response.headers["retry-after"] == "5"
        cancelled = caller.cancel(job).json()
        gone = next(item for item in cancelled["items"] if item["status"] == "cancelled")
        assert refusal(caller.get(job, f"/audio?item={gone['index']}"), 409)["code"] == "item_cancelled"
        assert len(files(caller.get(job, "/audio").content)) == 2


def test_a_failure_is_told_as_it_was(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not with me."), Refusal(400, "Not with me.")]
    job = caller.ended(caller.made(input="One."))
    response = caller.get(job, "/audio")
    error = refusal(response, 500)
    assert error["code"] == "upstream_rejected" and "Not with me." in error["message"]
    assert response.headers["x-should-retry"] == "false"
    several = caller.made(inputs=[{"input": "Two."}, {"input": "Three."}])
    several = caller.ended(several)
    if several["status"] == "failed":
        assert refusal(caller.get(several, "/audio"), 500)["code"] == "upstream_rejected"


def test_all_of_them_come_in_a_zip_that_says_what_it_holds(place: House) -> None:
    caller, upstream = place
    upstream.switches.refusals = [Refusal(400, "Not with me.")]
    texts = [{"input": f"Text {n}.", "custom_id": f"../scene {n}"} for n in range(4)]
    job = caller.ended(caller.made(inputs=texts, metadata={"book": "Ägypten"}))
    response = caller.get(job, "/audio")
    assert response.status_code == 200 and response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == f'attachment; filename="{job["id"]}.zip"'
    found = files(response.content)
    manifest = json.loads(found.pop("manifest.json"))
    done = [item["index"] for item in job["items"] if item["status"] == "done"]
    assert found == {f"{n:04d}-scene_{n}.wav": SOUND for n in done} and len(done) == 3
    assert manifest["job"]["id"] == job["id"] and manifest["job"]["metadata"] == {"book": "Ägypten"}
    for told, item in zip(manifest["items"], job["items"], strict=True):
        name = f"{item['index']:04d}-scene_{item['index']}.wav" if item["status"] == "done" else None
        assert told == {**item, "file": name}
    head = caller.http.head(job["audio_url"])
    assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "application/zip")


def test_large_files_go_through_in_chunks(place: House) -> None:
    caller, _ = place
    job = caller.ended(caller.several("One.", "Two."))
    large = bytes(range(256)) * (5 * CHUNK_BYTES // 256) + b"end"
    for take in Take.objects.all():
        path_of(take).write_bytes(large)
    assert list(files(caller.get(job, "/audio").content).values())[:2] == [large, large]


def test_whoever_leaves_in_the_midst_of_a_zip_leaves_nothing_open(place: House) -> None:
    """What stays open fails the test as a warning."""
    caller, _ = place
    job = caller.ended(caller.several("One.", "Two."))
    for take in Take.objects.all():
        path_of(take).write_bytes(bytes(64 * CHUNK_BYTES))
    with caller.http.stream("GET", job["audio_url"]) as response:
        assert next(response.iter_raw())
    assert caller.now(job)["status"] == "completed"


def test_sound_that_is_gone_is_gone(place: House) -> None:
    caller, _ = place
    job = caller.ended(caller.several("One.", "Two.", "Three."))
    one, two, _three = Take.objects.order_by("pk")
    path_of(one).unlink()
    two.delete()
    for item in (0, 1):
        assert refusal(caller.get(job, f"/audio?item={item}"), 410)["code"] == "audio_gone"
    found = files(caller.get(job, "/audio").content)
    told = json.loads(found["manifest.json"])["items"]
    assert [item["file"] for item in told] == [None, None, "0002.wav"]
    assert [item["status"] for item in told] == ["done", "expired", "done"]
    Take.objects.all().delete()
    assert refusal(caller.get(job, "/audio"), 410)["code"] == "audio_gone"


@pytest.mark.parametrize(
    ("custom_id", "name"),
    [
        ("", "0007.mp3"),
        ("scene-1_b", "0007-scene-1_b.mp3"),
        ("../../etc/passwd", "0007-etc_passwd.mp3"),
        ("你好", "0007.mp3"),
        ("con.wav\x7f\u202e", "0007-con_wav.mp3"),
    ],
)
def test_names_are_safe(custom_id: str, name: str) -> None:
    assert safe_name(7, custom_id, "mp3") == name
