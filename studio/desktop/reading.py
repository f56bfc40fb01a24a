"""The rows of the desktop application as values, in their order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from studio.desktop.database import Database, Row, opened
from studio.desktop.schema import EXAMPLE, PROJECTS, ProjectTables

# Called the same there and here.
LIMITS = ("max_concurrency", "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day")
LONGEST_ID, LONGEST_NAME, LONGEST_PATH = 200, 100, 4000


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ProviderRow:
    id: str
    name: str
    adapter: str
    base_url: str
    api_key: str = field(repr=False)
    model: str
    enabled: bool
    position: int
    limits: dict[str, int]
    """Of Provider's columns those that are set."""


@dataclass(frozen=True, slots=True)
class VoiceRow:
    """`trim` is where the recording begins and ends, in seconds, where it is cut."""

    id: str
    name: str
    description: str
    provider: str
    model: str
    task_mode: str
    recording: str
    trim: tuple[float | None, float | None]
    prompt_text: str
    prompt_language: str
    instruction: str
    voice: str
    speed: float | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class RecordingRow:
    id: str
    name: str
    path: str
    transcript: str
    language: str


@dataclass(frozen=True, slots=True)
class BankRow:
    id: str
    name: str
    description: str
    voices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineRow:
    id: str
    text: str
    voice: str
    speaker: str
    audio: str
    chapter: str = ""
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """`script` is a text that was never cut into lines; `place` the number of the line at which a reader is."""

    tables: ProjectTables
    id: str
    name: str
    bank: str
    created: datetime | None
    changed: datetime | None
    lines: tuple[LineRow, ...]
    script: str = ""
    video: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class QuickRow:
    id: str
    voice: str
    text: str
    audio: str
    created: datetime | None


@dataclass(frozen=True, slots=True)
class Contents:
    """All that is taken. `clips` counts what is laid out by hand on timelines, which is not."""

    version: int
    fingerprint: str
    providers: tuple[ProviderRow, ...]
    voices: tuple[VoiceRow, ...]
    recordings: tuple[RecordingRow, ...]
    banks: tuple[BankRow, ...]
    projects: tuple[ProjectRow, ...]
    quick: tuple[QuickRow, ...]
    clips: int

    def own_ids(self) -> Iterator[str]:
        """Of rows that no other installation has."""
        rows: tuple[_Identified, ...] = (
            *self.projects,
            *self.voices,
            *self.banks,
            *self.providers,
            *self.recordings,
            *self.quick,
        )
        return (row.id for row in rows if not row.id.startswith(EXAMPLE))


def read(path: Path) -> Contents:
    """DesktopUnreadable."""
    with opened(path) as database:
        voices = tuple(_voices(database))
        names = {voice.id: voice.name for voice in voices}
        banks = tuple(_banks(database))
        return Contents(
            version=database.version,
            fingerprint=_fingerprint(database),
            providers=tuple(_providers(database)),
            voices=voices,
            recordings=tuple(_recordings(database)),
            banks=banks,
            projects=tuple(one for tables in PROJECTS for one in _projects(database, tables, names)),
            quick=tuple(_quick(database)),
            clips=sum(1 for _row in database.rows("timeline_clips", "id")),
        )


def _fingerprint(database: Database) -> str:
    """Of the first thing that an installation made."""
    tables = ("voice_banks", *(tables.projects for tables in PROJECTS))
    made = (
        (row.text("created_at"), row.text("id")) for table in tables for row in database.rows(table, "id", "created_at")
    )
    return hashlib.sha256(repr(min(made, default=())).encode()).hexdigest()


def _providers(database: Database) -> Iterator[ProviderRow]:
    columns = ("id", "name", "adapter_type", "base_url", "api_key", "default_model_name", "enabled", "position")
    found = []
    for row in database.rows("tts_providers", *columns, *LIMITS):
        set_limits = {name: value for name in LIMITS if (value := row.number(name))}
        one = ProviderRow(
            id=row.text("id", LONGEST_ID),
            name=_name(row),
            adapter=row.text("adapter_type", LONGEST_NAME),
            base_url=row.text("base_url"),
            api_key=row.text("api_key"),
            model=row.text("default_model_name", 200),
            enabled=row.flag("enabled", True),
            position=row.number("position") or 0,
            limits=set_limits,
        )
        found.append(one)
    yield from sorted(_unique(found), key=lambda one: one.position)


def _voices(database: Database) -> Iterator[VoiceRow]:
    bound = {row.text("id"): row.text("model_key", 200) for row in database.rows("model_bindings", "id", "model_key")}
    columns = (
        *("id", "name", "description", "provider_id", "model_binding_id", "model_name", "task_mode", "ref_audio_path"),
        *("ref_audio_trim_start", "ref_audio_trim_end", "prompt_text", "prompt_lang", "voice_instruction"),
        *("preset_voice_name", "speed", "enabled"),
    )
    found = [
        VoiceRow(
            id=row.text("id", LONGEST_ID),
            name=_name(row),
            description=row.text("description"),
            provider=row.text("provider_id", LONGEST_ID),
            model=row.text("model_name", 200) or bound.get(row.text("model_binding_id"), ""),
            task_mode=row.text("task_mode", LONGEST_NAME),
            recording=row.text("ref_audio_path", LONGEST_PATH),
            trim=(row.real("ref_audio_trim_start"), row.real("ref_audio_trim_end")),
            prompt_text=row.text("prompt_text"),
            prompt_language=row.text("prompt_lang", 35),
            instruction=row.text("voice_instruction"),
            voice=row.text("preset_voice_name", 200),
            speed=row.real("speed"),
            enabled=row.flag("enabled", True),
        )
        for row in database.rows("voice_assets", *columns)
    ]
    yield from _unique(found)


def _recordings(database: Database) -> Iterator[RecordingRow]:
    found = [
        RecordingRow(
            id=row.text("id", LONGEST_ID),
            name=_name(row),
            path=row.text("audio_path", LONGEST_PATH),
            transcript=row.text("ref_text"),
            language=row.text("ref_lang", 35),
        )
        for row in database.rows("audio_tracks", "id", "name", "audio_path", "ref_text", "ref_lang")
    ]
    yield from _unique(found)


def _banks(database: Database) -> Iterator[BankRow]:
    members = defaultdict[str, list[str]](list)
    for row in database.rows("voice_bank_members", "id", "bank_id", "voice_asset_id"):
        members[row.text("bank_id", LONGEST_ID)].append(row.text("voice_asset_id", LONGEST_ID))
    found = []
    for row in database.rows("voice_banks", "id", "name", "description"):
        id, name = row.text("id", LONGEST_ID), _name(row)
        found.append(BankRow(id, name, row.text("description"), tuple(dict.fromkeys(members[id]))))
    yield from _unique(found)


def _projects(database: Database, tables: ProjectTables, voices: dict[str, str]) -> Iterator[ProjectRow]:
    reader = _LineReader(database, tables, voices)
    novel = ("narrator_voice_asset_id", "dialogue_voice_asset_id", "current_global_index")
    columns = ("id", "name", "bank_id", "created_at", "updated_at", "script_text", "video_path", *novel)
    found = []
    for row in database.rows(tables.projects, *columns):
        roles = {"narrator": row.text(novel[0], LONGEST_ID), "dialogue": row.text(novel[1], LONGEST_ID)}
        one = ProjectRow(
            tables=tables,
            id=row.text("id", LONGEST_ID),
            name=_name(row),
            bank=row.text("bank_id", LONGEST_ID),
            created=row.moment("created_at"),
            changed=row.moment("updated_at"),
            lines=tuple(_unique(reader.lines(row.text("id", LONGEST_ID), roles))),
            script=row.text("script_text"),
            video=row.text("video_path", LONGEST_PATH),
            place=row.number(novel[2]) or 0,
        )
        found.append(one)
    yield from _unique(found)


class _LineReader:
    """The lines of one kind of projects, read once."""

    def __init__(self, database: Database, tables: ProjectTables, voices: dict[str, str]) -> None:
        self._tables, self._voices = tables, voices
        self._chapters = {
            row.text("id"): row.text("title", 200) for row in database.rows("novel_chapters", "id", "title")
        }
        self._rows = defaultdict[str, list[tuple[tuple[int, int], Row]]](list)
        columns = (
            *("id", "project_id", tables.text, tables.order, "voice_asset_id", "speaker_label", "audio_path"),
            *("chapter_id", "segment_type", "start_ms", "end_ms"),
        )
        for number, row in enumerate(database.rows(tables.lines, *columns)):
            place = row.number(tables.order)
            # What has no number there stays where it lies.
            placed = (number if place is None else place, number)
            self._rows[row.text("project_id", LONGEST_ID)].append((placed, row))

    def lines(self, project: str, roles: dict[str, str]) -> Iterator[LineRow]:
        """`roles` are the voices of a novel."""
        chapter = ""
        for _place, row in sorted(self._rows[project], key=lambda placed: placed[0]):
            before, chapter = chapter, row.text("chapter_id")
            title = self._chapters.get(chapter, "") if chapter != before else ""
            yield self._line(row, roles, title)

    def _line(self, row: Row, roles: dict[str, str], title: str) -> LineRow:
        role = row.text("segment_type")
        voice = row.text("voice_asset_id", LONGEST_ID) or roles.get(role, "")
        named = self._tables.kind in ("dialogue", "dub") or voice not in self._voices
        return LineRow(
            id=row.text("id", LONGEST_ID),
            text=row.text(self._tables.text),
            voice=voice,
            speaker=row.text("speaker_label", LONGEST_NAME) or (self._voices.get(voice, "") if named else ""),
            audio=row.text("audio_path", LONGEST_PATH),
            chapter=title,
            start_ms=row.number("start_ms"),
            end_ms=row.number("end_ms"),
        )


def _quick(database: Database) -> Iterator[QuickRow]:
    found = [
        QuickRow(
            id=row.text("id", LONGEST_ID),
            voice=row.text("voice_asset_id", LONGEST_ID),
            text=row.text("input_text"),
            audio=row.text("audio_path", LONGEST_PATH),
            created=row.moment("created_at"),
        )
        for row in database.rows(
            "quick_tts_histories", "id", "voice_asset_id", "input_text", "audio_path", "created_at"
        )
    ]
    yield from _unique(found)


def _name(row: Row) -> str:
    """In one line."""
    return " ".join((row.text("name", LONGEST_NAME) or row.text("id", LONGEST_NAME)).split())


def _unique[R: _Identified](rows: Iterable[R]) -> Iterator[R]:
    """Those that have an id of their own."""
    known = {""}
    for row in rows:
        if row.id not in known:
            known.add(row.id)
            yield row
