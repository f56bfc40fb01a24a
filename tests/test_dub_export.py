"""Dubs that are exported by the server's own means: times, files, forms, and speaking faster what is too long."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from banks.models import Bank, Character
from banks.storage import private_storage
from providers.models import Provider
from studio import exporter, exports, files, uploads
from studio.dubbing import faster, fits
from studio.export_options import ExportOptions, Material, Track, What
from studio.models import MEGABYTE, Export, Footage, Line, OriginalSound, Project, StudioSettings, TakeState
from tests.conftest import add_character
from tests.films import film, onset, packets, pitched, sound, tracks
from tests.projects import address, said, voiced
from tests.studio import signed_in, somebody

pytestmark = pytest.mark.django_db(transaction=True)
# What voiced lines sound like.
VOICE = 440.0
VIDEO = ExportOptions(What.VIDEO, "mp4")


@pytest.fixture(autouse=True)
def empty_folders() -> Iterator[None]:
    """Before the test too: others leave what they put there."""
    empty()
    yield
    empty()


def empty() -> None:
    for name in (files.FOLDER, files.EXPORTS, files.FOOTAGE, files.UPLOADS):
        for path in files.folder(name).iterdir() if files.folder(name).is_dir() else ():
            path.unlink()


@pytest.fixture
def ann() -> User:
    return somebody("ann", superuser=True)


@pytest.fixture
def tales(db: None) -> Bank:
    return Bank.objects.create(name="Tales")


@pytest.fixture
def heart(tales: Bank) -> Character:
    return add_character(tales, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")


@pytest.fixture
def quick(tales: Bank) -> Character:
    """Whose provider can speak faster by itself."""
    return add_character(tales, Provider.objects.create(name="OpenAI", kind="openai"), "Quick")


@pytest.fixture
def dub(ann: User, tales: Bank) -> Project:
    return Project.objects.create(name="Der Film", kind="dub", language="de", owner=ann, bank=tales, format="wav")


def footage(project: Project, path: Path, **values: Any) -> Footage:
    content = path.read_bytes()
    made = uploads.begin(project, project.owner, path.name, len(content))
    for start in range(0, len(content), uploads.PIECE_BYTES):
        uploads.receive(made, start, io.BytesIO(content[start : start + uploads.PIECE_BYTES]))
    stored = uploads.finish(made)
    Footage.objects.filter(pk=stored.pk).update(**values)
    return Footage.objects.get(pk=stored.pk)


def cues(project: Project, speaker: Character, *times: tuple[float, float, float]) -> list[Line]:
    """Start, end and the seconds of the speech of each."""
    made = []
    for number, (start, end, seconds) in enumerate(times, start=1):
        (line,) = voiced(project, project.owner, speaker, f"Cue {number}.", seconds=seconds)
        line.start_ms, line.end_ms = round(start * 1000), round(end * 1000)
        line.save()
        made.append(line)
    return made


def made(export: Export) -> Path:
    """Here and now, as the server's exporter does it."""
    running = Export.objects.claim_next()
    assert running is not None and running.pk == export.pk
    exporter.make(running, threading.Event())
    export.refresh_from_db()
    assert export.state == TakeState.DONE, export.error
    return Path(private_storage().path(export.file.name or ""))


# The files.


@pytest.mark.parametrize("track", Track)
def test_a_video_gets_its_dub(track: Track, dub: Project, heart: Character, ann: User, tmp_path: Path) -> None:
    source = film(tmp_path, 8, every=100)
    footage(dub, source, duck_db=-20.0)
    cues(dub, heart, (1, 2, 0.8), (3.5, 4.5, 1.1), (6, 7, 0.5))
    path = made(exports.ask(dub, ann, ExportOptions(What.VIDEO, "mp4", track=track)))
    assert packets(path) == packets(source)
    german = ("audio", "deu", "Der Film")
    assert tracks(path)[1:] == ([german] if track is Track.REPLACE else [("audio", "eng", "English"), german])
    samples = sound(path, 0 if track is Track.REPLACE else 1)
    for start in (1, 3.5, 6):
        assert onset(samples, VOICE, start) == pytest.approx(start, abs=0.01)
    assert pitched(samples, 220, 3.6, 4.4) < 0.02 < 0.08 < pitched(samples, 220, 5.2, 5.8)


@pytest.mark.parametrize(("original", "height"), [("keep", 0.1), ("off", 0.0)])
def test_the_original_sound_is_kept_or_left_out(
    original: str, height: float, dub: Project, heart: Character, ann: User, tmp_path: Path
) -> None:
    footage(dub, film(tmp_path, 5, every=100), sound=OriginalSound(original))
    cues(dub, heart, (1, 2, 0.8))
    samples = sound(made(exports.ask(dub, ann, ExportOptions(What.AUDIO, "wav"))))
    assert pitched(samples, 220, 1.1, 1.7) == pytest.approx(height, abs=0.01)
    assert pitched(samples, VOICE, 1.1, 1.7) > 0.05


def test_without_footage_lines_are_heard_at_their_times(dub: Project, heart: Character, ann: User) -> None:
    cues(dub, heart, (2.25, 3, 0.5), (0.5, 1, 0.4))
    export = exports.ask(dub, ann, ExportOptions(What.AUDIO, "flac"))
    samples = sound(made(export))
    for start in (0.5, 2.25):
        assert onset(samples, VOICE, start) == pytest.approx(start, abs=0.01)
    assert export.duration == pytest.approx(2.75, abs=0.001)


def test_what_is_too_long_is_stretched_or_told_of(dub: Project, heart: Character, ann: User) -> None:
    fitting, long, last = cues(dub, heart, (0, 1, 2.3), (2, 3, 1.8), (3, 4, 1))
    known = fits(dub)
    assert known[fitting.pk].stretch == pytest.approx(1.15) and known[fitting.pk].over == 0
    assert known[long.pk].stretch == 1.2 and known[long.pk].over == pytest.approx(0.5)
    assert known[last.pk].stretch == 1
    samples = sound(made(exports.ask(dub, ann, ExportOptions(What.AUDIO, "wav", loudness=None))))
    assert len(samples) / 48_000 == pytest.approx(4, abs=0.001)


def test_a_line_without_audio_keeps_its_time(dub: Project, heart: Character) -> None:
    spoken, silent = cues(dub, heart, (0, 1, 1.5), (1, 2, 1))
    Line.objects.filter(pk=silent.pk).update(take=None, attempt=None)
    assert fits(dub)[spoken.pk].over == pytest.approx(0.25)


def test_subtitles_have_the_times_of_the_cues(dub: Project, heart: Character, ann: User) -> None:
    cues(dub, heart, (3, 4, 1.5), (0.5, 1.25, 0.2), (5, 6, 4.8), (9, 10, 1))
    path = made(exports.ask(dub, ann, ExportOptions(What.SUBTITLES, "srt")))
    assert [line for line in path.read_text().splitlines() if "-->" in line] == [
        "00:00:00,500 --> 00:00:01,250",
        "00:00:03,000 --> 00:00:04,500",
        "00:00:05,000 --> 00:00:09,000",
        "00:00:09,000 --> 00:00:10,000",
    ]


def test_a_zip_says_where_each_line_is_heard(dub: Project, heart: Character, ann: User) -> None:
    cues(dub, heart, (3, 4, 1.5), (0.5, 1.25, 0.2))
    with ZipFile(made(exports.ask(dub, ann, ExportOptions(What.FILES, "zip")))) as archive:
        lines = json.loads(archive.read("manifest.json"))["lines"]
    assert [(line["order"], line["start"], line["duration"]) for line in lines] == [(2, 0.5, 0.2), (1, 3, 1.5)]


def test_footage_that_is_gone_fails_the_export(dub: Project, heart: Character, ann: User, tmp_path: Path) -> None:
    stored = footage(dub, film(tmp_path, 3))
    cues(dub, heart, (1, 2, 0.5))
    export = exports.ask(dub, ann, VIDEO)
    Path(stored.file.path).unlink()
    running = Export.objects.claim_next()
    assert running is not None
    exporter.make(running, threading.Event())
    export.refresh_from_db()
    assert export.state == TakeState.FAILED and export.error
    assert not list(files.folder(files.EXPORTS).iterdir())


# What can be asked for.


def test_lines_without_times_are_left_out_and_counted(dub: Project, heart: Character, ann: User) -> None:
    cues(dub, heart, (1, 2, 0.5))
    voiced(dub, ann, heart, "No time.")
    assert exports.material_of(dub) == Material(total=2, missing=1, stale=0)
    with pytest.raises(ValidationError) as raised:
        exports.ask(dub, ann, ExportOptions(What.AUDIO, "wav"))
    assert "incomplete" in raised.value.message_dict
    made(exports.ask(dub, ann, ExportOptions(What.AUDIO, "wav"), incomplete=True))


def test_a_video_stays_what_it_is(dub: Project, heart: Character, ann: User, tmp_path: Path) -> None:
    cues(dub, heart, (1, 2, 0.5))
    with pytest.raises(ValidationError) as raised:
        exports.ask(dub, ann, VIDEO)
    assert "add one on the page" in raised.value.messages[0]
    footage(dub, film(tmp_path, 3, container="webm"))
    with pytest.raises(ValidationError) as raised:
        exports.ask(dub, ann, VIDEO)
    assert raised.value.messages == ["For “video” there are: webm."]
    play = Project.objects.create(name="Play", kind="dialogue", owner=ann)
    voiced(play, ann, heart, "Hello.")
    with pytest.raises(ValidationError) as raised:
        exports.ask(play, ann, VIDEO)
    assert "no such export" in raised.value.messages[0]


def test_videos_have_a_quota_of_their_own(dub: Project, heart: Character, ann: User, tmp_path: Path) -> None:
    stored = footage(dub, film(tmp_path, 3))
    cues(dub, heart, (1, 2, 0.5))
    StudioSettings.load()
    StudioSettings.objects.update(quota_mb=1, video_quota_mb=1)
    Footage.objects.update(size=MEGABYTE)
    with pytest.raises(ValidationError) as raised:
        exports.ask(dub, ann, VIDEO)
    assert "video quota" in raised.value.messages[0]
    Footage.objects.update(size=stored.size)
    export = exports.ask(dub, ann, VIDEO)
    made(export)
    Export.objects.update(size=MEGABYTE)
    with pytest.raises(ValidationError):
        exports.ask(dub, ann, VIDEO)
    exports.ask(dub, ann, ExportOptions(What.AUDIO, "wav"))


def test_the_form_offers_what_a_dub_has(dub: Project, heart: Character, ann: User, tmp_path: Path) -> None:
    client = signed_in(ann)
    cues(dub, heart, (1, 2, 0.5))
    page = said(client.get(address(dub, "exports/")))
    assert 'value="video"' not in page and "Pause between lines" not in page
    footage(dub, film(tmp_path, 3, container="mkv"))
    page = said(client.get(address(dub, "exports/")))
    assert 'value="video"' in page and "Bring the speech to one loudness" in page
    asked = {"what": "video", "track": "replace", "which": "all", "level": "on", "loudness": "-18", "gap_ms": "x"}
    answer = client.post(address(dub, "exports/"), asked)
    assert answer.status_code == 302, answer.context["form"].errors
    export = Export.objects.get()
    expected = ExportOptions(What.VIDEO, "mkv", loudness=-18, track=Track.REPLACE)
    assert ExportOptions.read(export.options_json) == expected
    made(export)
    page = said(client.get(address(dub, "exports/")))
    assert "<video" in page and "In place of the original sound" in page and "-18 LUFS" in page
    answer = client.get(address(dub, f"exports/{export.pk}/file?listen"))
    assert answer["Content-Type"] == "video/x-matroska"


def test_the_form_of_other_kinds_has_no_video(heart: Character, ann: User) -> None:
    play = Project.objects.create(name="Play", kind="dialogue", owner=ann)
    voiced(play, ann, heart, "Hello.")
    client = signed_in(ann)
    page = said(client.get(address(play, "exports/")))
    assert 'value="video"' not in page and "Where the dub goes" not in page and "Pause between lines" in page
    refused = client.post(address(play, "exports/"), {"what": "video", "which": "all"})
    assert list(refused.context["form"].errors) == ["what"]


# Faster.


def test_what_is_too_long_is_asked_for_again_at_a_higher_speed(dub: Project, quick: Character, ann: User) -> None:
    fitting, long, hopeless, _last = cues(dub, quick, (0, 1, 1), (1, 2, 1.52), (2, 2.1, 9), (2.1, 3, 0.5))
    outcome = faster(dub, dub.lines.all(), ann)
    speeds = dict(dub.lines.values_list("pk", "speed"))
    assert speeds[fitting.pk] == 1 and speeds[long.pk] == 1.55
    most = quick.provider.adapter_class.capabilities.speed
    assert most is not None and speeds[hopeless.pk] == min(most[1], 4.0)
    assert outcome.queued == 2 and set(outcome.pks) == {long.pk, hopeless.pk} and not outcome.refused
    again = faster(dub, dub.lines.all(), ann)
    assert (again.queued, again.waiting) == (0, 2), "it goes by what is heard, and that has not changed"


def test_a_provider_that_cannot_speak_faster_is_not_asked(dub: Project, tales: Bank, ann: User) -> None:
    slow = add_character(tales, Provider.objects.create(name="VoxCPM", kind="voxcpm"), "Slow")
    assert slow.provider.adapter_class.capabilities.speed is None
    (line, _next) = cues(dub, slow, (0, 1, 2), (1, 2, 0.5))
    outcome = faster(dub, dub.lines.all(), ann)
    assert outcome.queued == 0 and dict(outcome.refused) == {"The provider can't speak faster.": 1}
    line.refresh_from_db()
    assert line.speed == 1


def test_what_is_spoken_as_fast_as_possible_stays(dub: Project, quick: Character, ann: User) -> None:
    quick.speed = 4.0
    quick.save()
    cues(dub, quick, (0, 1, 2), (1, 2, 0.5))
    outcome = faster(dub, dub.lines.all(), ann)
    assert outcome.queued == 0 and "as fast as the provider can" in " ".join(outcome.refused)


def test_only_the_lines_that_are_chosen(dub: Project, quick: Character, ann: User) -> None:
    first, second, _last = cues(dub, quick, (0, 1, 2), (1, 2, 2), (2, 3, 0.5))
    outcome = faster(dub, dub.lines.filter(pk=second.pk), ann)
    assert outcome.pks == [second.pk]
    first.refresh_from_db()
    assert first.speed == 1
