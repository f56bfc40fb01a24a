"""The recordings of an import: found, heard to their end and stored, before its transaction begins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from django.utils.translation import gettext as _

from banks.models import Character, ReferenceAudio
from banks.recordings import REFERENCE_SECONDS, cut
from banks.storage import StorageFull
from providers.audio import decode, encode, is_foreign, sniff, to_reference_wav, to_wav
from providers.errors import BadAudio
from providers.speech import AudioFormat
from studio.desktop.known import CHARACTERS, OWN_RECORDING, QUICK, RECORDINGS, Known, audio_of
from studio.desktop.reading import Contents, ProjectRow, RecordingRow, VoiceRow
from studio.desktop.report import Verdict
from studio.desktop.sounds import Sounds
from studio.files import TakeFile, carrier, finished, has_room, quota_spent, remove, write
from studio.models import MEGABYTE, Project, StudioSettings
from studio.models.takes import bytes_used

LOSSLESS = AudioFormat.FLAC


@dataclass(frozen=True, slots=True)
class Sound:
    """A take's file. When nothing is to be stored, it has no name and no measures."""

    format: AudioFormat
    name: str = ""
    measures: dict[str, Any] = field(default_factory=dict)


@dataclass
class Prepared:
    """By table and id of the row that names it. `formats` are those of new projects, by id; `missing` and `broken`
    tell of the paths that are not among them."""

    recordings: dict[tuple[str, str], ReferenceAudio] = field(default_factory=dict)
    takes: dict[tuple[str, str], Sound] = field(default_factory=dict)
    formats: dict[str, AudioFormat] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def why_not(self, path: str) -> str:
        """For a path that a row names."""
        return self.broken.get(path) or _("Its audio file was not found.")


@dataclass
class Ready:
    """What earlier steps of an import stored already, to be kept between requests. `broken` as in Prepared."""

    sounds: dict[tuple[str, str], Sound] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        sounds = [[*key, sound.format.value, sound.name, sound.measures] for key, sound in self.sounds.items()]
        return {"sounds": sounds, "broken": self.broken}

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        sounds = {
            (table, id): Sound(AudioFormat(format), name, measures)
            for table, id, format, name, measures in stored["sounds"]
        }
        return cls(sounds, stored["broken"])

    def discard(self) -> None:
        """Remove what was stored."""
        for sound in self.sounds.values():
            remove(sound.name)


@contextmanager
def preparing(
    contents: Contents, sounds: Sounds, known: Known, owner: Any, ready: Ready, *, dry: bool
) -> Iterator[Prepared]:
    """What was stored, now or before, and is not `used` at the end is removed again. SpeechError where there is no
    room."""
    work = _Work(sounds, known, dry)
    work.begin_with(ready)
    try:
        _require_room(work.bytes_to_come(contents), owner)
        work.prepare(contents)
        yield work.prepared
    except BaseException:
        work.prepared.used.clear()
        raise
    finally:
        work.remove_unused()


def prepare_some(
    contents: Contents, sounds: Sounds, known: Known, owner: Any, ready: Ready, seconds: float
) -> tuple[int, int]:
    """Store takes for so long, one at least, and put them into `ready`; how many of how many are there now.
    SpeechError."""
    work = _Work(sounds, known, dry=False)
    _require_room(work.bytes_to_come(contents), owner)
    asked, until = list(work.takes(contents)), time.monotonic() + seconds
    done, stored = 0, False
    for table, id, path, format in asked:
        if (table, id) not in ready.sounds and path not in ready.broken:
            if stored and time.monotonic() > until:
                break
            work.take(table, id, path, format)
            stored = stored or bool(work.prepared.takes)
            ready.sounds.update(work.prepared.takes)
            ready.broken.update(work.prepared.broken)
            work.prepared.takes.clear()
        done += 1
    return done, len(asked)


def _require_room(size: int, owner: Any) -> None:
    quota = StudioSettings.load().quota_mb
    if quota and size and bytes_used(owner.pk) + size > quota * MEGABYTE:
        raise quota_spent(quota)
    if size and not has_room(size):
        raise StorageFull(_("The server's disk has no room for the audio: make room on it, then try again."))


class _Work:
    def __init__(self, sounds: Sounds, known: Known, dry: bool) -> None:
        self._sounds, self._known, self._dry = sounds, known, dry
        self._stored: list[str] = []
        self.prepared = Prepared()

    def begin_with(self, ready: Ready) -> None:
        self.prepared.takes.update(ready.sounds)
        self.prepared.broken.update(ready.broken)
        self._stored += [sound.name for sound in ready.sounds.values()]

    def bytes_to_come(self, contents: Contents) -> int:
        """Of takes, as their files are there."""
        named = [name for _table, _id, path, _format in self.takes(contents) if (name := self._sounds.find(path))]
        return sum(map(self._sounds.size, named))

    def takes(self, contents: Contents) -> Iterator[tuple[str, str, str, AudioFormat | None]]:
        """Those that may come: table, id, path, and the format; None stands for that of the file."""
        for project in contents.projects:
            format = self._format(project)
            self.prepared.formats[project.id] = format
            for id, path in self._lines(project):
                yield audio_of(project.tables.lines), id, path, format
        for quick in contents.quick:
            if quick.audio and self._known.verdict(QUICK, quick.id) is Verdict.NEW:
                yield QUICK, quick.id, quick.audio, None

    def prepare(self, contents: Contents) -> None:
        for one in contents.recordings:
            self._recording(RECORDINGS, one.id, one.path, (None, None))
        for voice in contents.voices:
            if self._lacks_recording(voice) and shared_recording(contents, self._known, voice) is None:
                self._recording(OWN_RECORDING, voice.id, voice.recording, voice.trim)
        for table, id, path, format in self.takes(contents):
            self.take(table, id, path, format)

    def remove_unused(self) -> None:
        for name in self._stored:
            if name not in self.prepared.used:
                remove(name)

    def _lines(self, project: ProjectRow) -> Iterator[tuple[str, str]]:
        """Those whose audio may come, with its path."""
        table = project.tables.lines
        if self._known.verdict(project.tables.projects, project.id) is Verdict.GONE:
            return
        for line in project.lines:
            there = self._known.verdict(table, line.id) is not Verdict.GONE
            if line.audio and there and self._known.verdict(audio_of(table), line.id) is Verdict.NEW:
                yield line.id, line.audio

    def _lacks_recording(self, voice: VoiceRow) -> bool:
        verdict = self._known.verdict(CHARACTERS, voice.id)
        if verdict is Verdict.HERE:
            pk = self._known.object_id(CHARACTERS, voice.id)
            return Character.objects.filter(pk=pk, reference=None).exists()
        return verdict is Verdict.NEW

    def _format(self, project: ProjectRow) -> AudioFormat:
        """That of a project that is here; for a new one what all its files are in, else one that loses nothing."""
        if self._known.verdict(project.tables.projects, project.id) is Verdict.HERE:
            pk = self._known.object_id(project.tables.projects, project.id)
            return AudioFormat(Project.objects.values_list("format", flat=True).get(pk=pk))
        formats = {self._kind_of(path) for _id, path in self._lines(project)} - {""}
        return AudioFormat(formats.pop()) if len(formats) == 1 and formats < set(AudioFormat) else LOSSLESS

    def _kind_of(self, path: str) -> str:
        """The format of a file, “foreign” for one of none of ours, nothing for what is no audio or is not there."""
        name = self._sounds.find(path)
        try:
            head = self._sounds.head(name) if name else b""
        except BadAudio:
            return ""
        return sniff(head) or ("foreign" if is_foreign(head) else "")

    def _content(self, path: str) -> bytes | None:
        """None, and the reason is kept, where it can't be had. Where nothing is to be stored it is its beginning."""
        name = self._sounds.find(path)
        if name is None:
            self.prepared.missing.add(path)
            return None
        try:
            head = self._sounds.head(name)
            if sniff(head) is None and not is_foreign(head):
                raise BadAudio(_("It is no audio file, or not in a format that can be read."))
            return head if self._dry else self._sounds.read(name)
        except BadAudio as error:
            self.prepared.broken[path] = error.message
            return None

    def _recording(self, table: str, id: str, path: str, trim: tuple[float | None, float | None]) -> None:
        if not path or self._known.verdict(table, id) is not Verdict.NEW:
            return
        content = self._content(path)
        if content is None:
            return
        recording = ReferenceAudio()
        try:
            if not self._dry:
                recording.keep(_trimmed(content, trim))
                self._stored.append(str(recording.file.name))
        except BadAudio as error:
            self.prepared.broken[path] = error.message
            return
        self.prepared.recordings[table, id] = recording

    def take(self, table: str, id: str, path: str, format: AudioFormat | None) -> None:
        known = (table, id) in self.prepared.takes or path in self.prepared.broken
        content = None if known else self._content(path)
        if content is None:
            return
        format = format or sniff(content) or LOSSLESS
        sound = Sound(format)
        try:
            if not self._dry:
                made = take_file(content, format)
                sound = Sound(format, write(made), made.measures())
                self._stored.append(sound.name)
        except BadAudio as error:
            self.prepared.broken[path] = error.message
            return
        self.prepared.takes[table, id] = sound


def shared_recording(contents: Contents, known: Known, voice: VoiceRow) -> RecordingRow | None:
    """The one of the library that a voice uses whole."""
    if voice.trim != (None, None) or not voice.recording:
        return None
    fitting = (one for one in contents.recordings if one.path == voice.recording)
    return next((one for one in fitting if known.verdict(RECORDINGS, one.id) is not Verdict.GONE), None)


def _trimmed(content: bytes, trim: tuple[float | None, float | None]) -> bytes:
    wav, seconds = to_reference_wav(content, max_seconds=REFERENCE_SECONDS)
    start, end = max(trim[0] or 0.0, 0.0), min(trim[1] or seconds, seconds)
    return cut(wav, start, end) if start < end and (start, end) != (0.0, seconds) else wav


def take_file(content: bytes, format: AudioFormat) -> TakeFile:
    """The file as it is, where it is in this format already. BadAudio, also where it is cut off."""
    wav = to_wav(content)
    if format is not LOSSLESS and sniff(content) is format:
        return finished(content, format)
    return finished(wav if carrier(format) is AudioFormat.WAV else encode(*decode(wav), format), format)
