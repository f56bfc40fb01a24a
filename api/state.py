"""All that a request needs to know, frozen in memory: the runtime controls, the keys and the roster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from api.models import Access, ApiKey, Scope, ServerSettings
from banks.roster import Roster, roster
from providers.queue import QueueRules
from providers.versions import Snapshot


@dataclass(frozen=True, slots=True)
class Controls:
    api_enabled: bool
    access: Access
    public_lists: bool
    cors_origins: frozenset[str]
    rate_limit: int
    max_body_bytes: int
    max_input_characters: int
    queue_rules: QueueRules
    log_requests: bool
    log_keep_rows: int
    speech_cache_bytes: int = 0


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """`bank_ids` None: all banks. `rate_limit` None: the limit per address holds. `of_administrator`: an administrator
    owns it, or nobody, as only administrators can make it."""

    id: int
    name: str
    bank_ids: frozenset[int] | None
    rate_limit: int | None
    expires_at: datetime | None
    revoked: bool
    owner_active: bool
    owner_id: int | None = None
    scope: Scope = Scope.SPEECH
    of_administrator: bool = False


@dataclass(frozen=True, slots=True)
class ApiState:
    controls: Controls
    keys: Mapping[str, KeyFacts]
    roster: Roster


def load_state() -> ApiState:
    return ApiState(load_controls(), _load_keys(), roster.get_sync())


def load_controls() -> Controls:
    row = ServerSettings.load()
    return Controls(
        api_enabled=row.api_enabled,
        access=Access(row.access),
        public_lists=row.public_lists,
        cors_origins=frozenset(row.cors_origins.split()),
        rate_limit=row.rate_limit_per_minute,
        max_body_bytes=row.max_body_bytes,
        max_input_characters=row.max_input_characters,
        queue_rules=QueueRules(row.queue_limit, float(row.queue_deadline_seconds)),
        log_requests=row.log_requests,
        log_keep_rows=row.log_keep_rows,
        speech_cache_bytes=row.speech_cache_megabytes * 1_000_000,
    )


def _load_keys() -> dict[str, KeyFacts]:
    rows = ApiKey.objects.select_related("owner").prefetch_related("banks")
    return {row.digest: key_facts(row) for row in rows}


def key_facts(row: ApiKey) -> KeyFacts:
    return KeyFacts(
        id=row.pk,
        name=row.name,
        bank_ids=frozenset(bank.pk for bank in row.banks.all()) or None,
        rate_limit=row.rate_limit_per_minute,
        expires_at=row.expires_at,
        revoked=row.revoked_at is not None,
        owner_active=row.owner is None or row.owner.is_active,
        owner_id=row.owner_id,
        scope=Scope(row.scope),
        of_administrator=row.owner is None or row.owner.is_superuser,
    )


api_state: Snapshot[ApiState] = Snapshot(load_state)
