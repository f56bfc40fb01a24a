"""Who may be asked to speak: the active banks and their characters, frozen in memory, and how a name finds one."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from django.db.models import Prefetch

from banks.dictionary import rules_by_bank
from banks.models import Bank, Character, Membership
from banks.pronunciation import NO_RULES, Rules
from providers import adapters
from providers.errors import VoiceNotFound
from providers.models import Provider
from providers.options import with_defaults
from providers.speech import OptionValue, ProviderConfig, TaskMode
from providers.versions import Snapshot

# The names that OpenAI's own clients offer; a bank's default character answers to those that nothing else has.
OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "juniper", "marin", "nova", "onyx", "sage"}
    | {"shimmer", "verse"}
)
# Comparing names takes time on the event loop.
_HINTED_NAMES, _HINTED_CHARACTERS = 60, 40


@dataclass(frozen=True, slots=True)
class Speaker:
    """A character as frozen values, at its place in one bank. `reference` is a name in the private storage."""

    id: str
    name: str
    bank: str
    provider: ProviderConfig
    created: int = 0
    description: str = ""
    aliases: tuple[str, ...] = ()
    task_mode: TaskMode = TaskMode.PRESET
    model: str = ""
    voice: str = ""
    reference: str = ""
    prompt_text: str = ""
    prompt_language: str = ""
    language: str = ""
    instruction: str = ""
    speed: float = 1.0
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    fallback: Speaker | None = None
    rules: Rules = NO_RULES
    cache_bank: int = 0
    """The bank that keeps what is spoken; 0 = none does."""


def fold(name: str) -> str:
    """Names that look alike are alike: composed, without regard to case."""
    return unicodedata.normalize("NFC", name).casefold()


class ActiveBank:
    """An active bank with its speakers, in order, found by id, name and alias."""

    def __init__(self, bank: Bank, speakers: Iterable[Speaker], default: Speaker | None) -> None:
        self.pk = bank.pk
        self.name = bank.name
        self.public = bank.public
        self.description = bank.description
        self.created = int(bank.created_at.timestamp())
        self.speakers = tuple(speakers)
        self.default = default
        self._exact: dict[str, Speaker] = {}
        self._folded: dict[str, Speaker] = {}
        self._index()

    def _index(self) -> None:
        for speaker in self.speakers:
            self._add(speaker.id, speaker)
        for speaker in self.speakers:
            self._add(speaker.name, speaker)
        for speaker in self.speakers:
            for alias in speaker.aliases:
                self._add(alias, speaker)

    def _add(self, name: str, speaker: Speaker) -> None:
        self._exact.setdefault(name, speaker)
        self._folded.setdefault(fold(name), speaker)

    def exact(self, name: str) -> Speaker | None:
        return self._exact.get(name)

    def folded(self, name: str) -> Speaker | None:
        return self._folded.get(name)

    def names(self) -> Iterator[str]:
        for speaker in self.speakers:
            yield speaker.name
            yield from speaker.aliases


class Roster:
    """The active banks in order. Every method looks only at the banks it is given: those the caller may use."""

    def __init__(self, banks: Iterable[ActiveBank]) -> None:
        self.banks = tuple(banks)

    def visible(self, bank_ids: frozenset[int] | None) -> tuple[ActiveBank, ...]:
        """The banks that a key with these banks may use; None means all."""
        return self.banks if bank_ids is None else tuple(bank for bank in self.banks if bank.pk in bank_ids)


def find_bank(banks: tuple[ActiveBank, ...], model: str) -> ActiveBank | None:
    folded = fold(model)
    return next((bank for bank in banks if bank.name == model), None) or next(
        (bank for bank in banks if fold(bank.name) == folded), None
    )


def find_speaker(banks: tuple[ActiveBank, ...], model: str, voice: str) -> Speaker:
    """The speaker that `voice` means: in the bank that `model` names, else in all of them. VoiceNotFound."""
    named = find_bank(banks, model) if model else None
    searched = (named,) if named else banks
    folded = fold(voice)
    found = (
        _first(bank.exact(voice) for bank in searched)
        or _first(bank.folded(folded) for bank in searched)
        or (_first(bank.default for bank in searched) if folded in OPENAI_VOICES else None)
    )
    if found is None:
        raise VoiceNotFound(_not_found(searched, named, voice), param="voice")
    return found


def _first(found: Iterable[Speaker | None]) -> Speaker | None:
    return next((speaker for speaker in found if speaker), None)


def _not_found(searched: tuple[ActiveBank, ...], named: ActiveBank | None, voice: str) -> str:
    shown = voice[:100]
    place = f"bank “{named.name}”" if named else "any active bank"
    names = list(dict.fromkeys(name for bank in searched for name in bank.names()))[:_HINTED_NAMES]
    short = {name[:_HINTED_CHARACTERS]: name for name in reversed(names)}
    near = [short[one] for one in difflib.get_close_matches(shown[:_HINTED_CHARACTERS], short, n=3, cutoff=0.5)]
    if near:
        return f"There is no voice “{shown}” in {place}. Did you mean: {', '.join(near)}?"
    if names:
        return f"There is no voice “{shown}” in {place}. Voices are, for example: {', '.join(names[:5])}."
    return f"There is no voice “{shown}”: no voice is active here."


def load_roster() -> Roster:
    members = (
        Membership.objects.filter(
            character__enabled=True,
            character__archived_at=None,
            character__provider__enabled=True,
            character__provider__archived_at=None,
            character__provider__kind__in=list(adapters.kinds()),
        )
        .select_related("character__provider", "character__reference")
        .select_related("character__fallback__provider", "character__fallback__reference")
        .defer("character__provider__api_key", "character__fallback__provider__api_key")
        .defer("character__reference__waveform", "character__fallback__reference__waveform")
        .order_by("position", "pk")
    )
    banks = (
        Bank.objects.present().filter(active=True).prefetch_related(Prefetch("memberships", members, to_attr="members"))
    )
    configs: dict[int, ProviderConfig] = {}
    common, own = rules_by_bank()
    return Roster([_active_bank(bank, bank.members, configs, own.get(bank.pk, common)) for bank in banks])


def _active_bank(bank: Bank, members: list[Membership], configs: dict[int, ProviderConfig], rules: Rules) -> ActiveBank:
    speakers = {member.character_id: replace(_speaker(bank, member, configs), rules=rules) for member in members}
    return ActiveBank(bank, speakers.values(), speakers.get(bank.default_character_id or 0))


def _speaker(bank: Bank, membership: Membership, configs: dict[int, ProviderConfig]) -> Speaker:
    speaker = speaker_of(membership.character, bank.name, configs)
    created, keeps = int(membership.created_at.timestamp()), bank.pk if bank.cache_speech else 0
    return replace(speaker, id=membership.public_id, created=created, cache_bank=keeps)


def speaker_of(character: Character, bank: str, configs: dict[int, ProviderConfig]) -> Speaker:
    """The character, whether or not a bank offers it, with its fallback; `configs` are of the providers met so far."""
    speaker, fallback = _frozen(character, bank, configs), character.fallback
    if fallback is None or not fallback.enabled or fallback.archived_at or not _speaks(fallback.provider):
        return speaker
    return replace(speaker, fallback=_frozen(fallback, bank, configs))


def _speaks(provider: Provider) -> bool:
    return provider.enabled and provider.archived_at is None and provider.kind in adapters.kinds()


def _frozen(character: Character, bank: str, configs: dict[int, ProviderConfig]) -> Speaker:
    provider = character.provider
    if provider.pk not in configs:
        configs[provider.pk] = provider.config()
    return Speaker(
        id="",
        name=character.name,
        bank=bank,
        provider=configs[provider.pk],
        description=character.description,
        aliases=tuple(character.aliases),
        task_mode=TaskMode(character.task_mode),
        model=character.model,
        voice=character.voice,
        reference=character.reference.file.name or "" if character.reference else "",
        prompt_text=character.prompt_text or (character.reference.transcript if character.reference else ""),
        prompt_language=character.prompt_language or (character.reference.language if character.reference else ""),
        language=character.language,
        instruction=character.instruction,
        speed=character.speed,
        options=with_defaults(provider.adapter_class.capabilities.character_options, character.options),
    )


roster: Snapshot[Roster] = Snapshot(load_roster)
