"""A bank as one file: a zip with `manifest.json`, the recordings as FLAC under `references/`, the pictures as WebP
under `avatars/`. The manifest is a `Bundle` as JSON; rows name each other by their place in its lists.

Providers stand in it by kind and name only: no address, no key. What can't be read is refused by a ValidationError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from banks.dictionary import MOST_RULES, TOO_MANY
from providers.speech import OptionValue

FORMAT, VERSION = "neiroha-bank", 1
MANIFEST = "manifest.json"
MAX_CHARACTERS = 1000
_LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    file: str
    name: str
    transcript: str
    language: str
    consent_note: str
    may_be_cloned: bool


@dataclass(frozen=True, slots=True)
class CharacterEntry:
    """`member` is false for a fallback that is in no bank of its own here."""

    name: str
    description: str
    enabled: bool
    aliases: tuple[str, ...]
    avatar: str | None
    provider: int
    task_mode: str
    model: str
    voice: str
    reference: int | None
    prompt_text: str
    prompt_language: str
    language: str
    instruction: str
    speed: float
    options: Mapping[str, OptionValue]
    fallback: int | None
    member: bool


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """A rule of the bank's own pronunciation."""

    written: str
    spoken: str
    is_pattern: bool
    language: str
    match_case: bool
    enabled: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """What has a default may be missing: older files know nothing of it."""

    format: str
    version: int
    name: str
    description: str
    default_character: int | None
    providers: tuple[ProviderEntry, ...]
    references: tuple[RecordingEntry, ...]
    characters: tuple[CharacterEntry, ...]
    pronunciations: tuple[RuleEntry, ...] = ()

    @property
    def files(self) -> list[str]:
        return [entry.file for entry in self.references] + [one.avatar for one in self.characters if one.avatar]


def write_manifest(bundle: Bundle) -> bytes:
    return json.dumps(asdict(bundle), ensure_ascii=False, indent=1).encode()


def read_manifest(data: bytes) -> Bundle:
    try:
        manifest = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValidationError(_("%s is not readable JSON.") % MANIFEST) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValidationError(_("This is not an exported bank."))
    if manifest.get("version") != VERSION:
        shown = {"version": str(manifest.get("version"))[:20], "known": VERSION}
        raise ValidationError(_("The file has version %(version)s; this server reads version %(known)s.") % shown)
    bundle = cast(Bundle, _read(Bundle, manifest, _("the file")))
    _check_places(bundle)
    return bundle


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _check_places(bundle: Bundle) -> None:
    """Every number that names a row has to name one that is there."""
    if len(bundle.characters) > MAX_CHARACTERS:
        raise ValidationError(_("The bank has more than %d characters.") % MAX_CHARACTERS)
    if len(bundle.pronunciations) > MOST_RULES:
        raise ValidationError(TOO_MANY % MOST_RULES)
    _check_place(bundle.default_character, len(bundle.characters), "default_character")
    for number, one in enumerate(bundle.characters):
        where = f"characters[{number}]"
        _check_place(one.provider, len(bundle.providers), f"{where}.provider")
        _check_place(one.reference, len(bundle.references), f"{where}.reference")
        _check_place(one.fallback, len(bundle.characters), f"{where}.fallback")
    default = bundle.default_character
    if default is not None and not bundle.characters[default].member:
        raise _wrong("default_character")


def _check_place(place: int | None, count: int, where: str) -> None:
    if place is not None and not 0 <= place < count:
        raise _wrong(where)


def _wrong(where: str) -> ValidationError:
    return ValidationError(
        _("%(manifest)s: %(where)s is not as it should be.") % {"manifest": MANIFEST, "where": where}
    )


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type says, strictly: nothing missing that has no default, nothing unknown, nothing
    converted."""
    if is_dataclass(kind):
        return _read_row(cast("type[Any]", kind), value, where)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _wrong(where)
        return tuple(_read(get_args(kind)[0], one, f"{where}[{number}]") for number, one in enumerate(value))
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict):
            raise _wrong(where)
        return {
            _read(str, name, where): _read(OptionValue, one, f"{where}.{name}"[:100]) for name, one in value.items()
        }
    return _read_value(get_args(kind) if isinstance(kind, UnionType) else (kind,), value, where)


def _read_row(kind: type[Any], value: Any, where: str) -> Any:
    names = {field.name: field.default is MISSING for field in fields(kind)}
    if not isinstance(value, dict) or not {name for name, needed in names.items() if needed} <= set(value) <= set(
        names
    ):
        raise _wrong(where)
    hints = get_type_hints(kind)
    return kind(
        **{name: _read(hints[name], value[name], name if kind is Bundle else f"{where}.{name}") for name in value}
    )


def _read_value(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if type(value) in (int, float) and not abs(value) < 2**63:
        raise _wrong(where)
    if type(value) is int and float in kinds and int not in kinds:
        value = float(value)
    if type(value) not in kinds:
        raise _wrong(where)
    if isinstance(value, str) and (len(value) > _LONGEST_TEXT or "\0" in value or not _is_unicode(value)):
        raise _wrong(where)
    return value


def _is_unicode(text: str) -> bool:
    """JSON can name halves of characters, which nothing can store."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
