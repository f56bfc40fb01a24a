"""Fetch All and health: what a provider offers, and how it is, kept in the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from providers import adapters
from providers.database import in_database
from providers.engine import Engine
from providers.errors import SpeechError
from providers.models import CatalogueEntry, CatalogueModel, CatalogueVoice, HealthReport, Provider
from providers.speech import Health, Model, ProviderConfig, Voice

logger = logging.getLogger(__name__)

CHECK_SECONDS = 300.0
FIRST_CHECK_SECONDS = 5.0
CHECKS_AT_ONCE = 4
# A check must end well before the next begins, and must not keep a person waiting.
HEALTH_TIMEOUT = 15.0
MAX_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many entries a Fetch All found, and how many known ones had vanished."""

    models: int
    voices: int
    vanished: int


async def fetch_all(config: ProviderConfig, engine: Engine) -> Fetched:
    """Store the provider's models and voices. SpeechError when it can't list them; then nothing changes."""
    adapter = engine.adapter(config)
    models, voices = await adapter.models(), await adapter.voices()
    return await in_database(_store, config.id, models, voices)


async def check_health(config: ProviderConfig, engine: Engine) -> Health:
    """Ask the provider how it is and keep the answer. It never raises SpeechError: what goes wrong is the answer."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT):
            health = await engine.adapter(config).health()
    except TimeoutError:
        health = Health(False, f"{config.name} did not answer within {HEALTH_TIMEOUT:g} seconds.")
    except SpeechError as error:
        health = Health(False, error.message)
    latency = round((time.monotonic() - started) * 1000)
    await in_database(_keep_health, config.id, health, latency)
    return health


async def watch_health(engine: Engine) -> None:
    """Check every enabled provider now and every few minutes, until cancelled."""
    await asyncio.sleep(FIRST_CHECK_SECONDS)
    while True:
        try:
            await check_enabled(engine)
        except DatabaseError:
            logger.exception("The health of providers could not be written.")
        await asyncio.sleep(CHECK_SECONDS)


async def check_enabled(engine: Engine) -> None:
    """Check every enabled provider once. No other needs an adapter that waits for calls."""
    configs = await in_database(_enabled_configs)
    engine.keep_adapters([config.id for config in configs])
    places = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def check(config: ProviderConfig) -> None:
        async with places:
            try:
                await check_health(config, engine)
            except Exception:
                # One provider must not keep the others from being checked.
                logger.exception("The health check of provider %d failed.", config.id)

    async with asyncio.TaskGroup() as checks:
        for config in configs:
            checks.create_task(check(config))


def _enabled_configs() -> list[ProviderConfig]:
    providers = Provider.objects.present().filter(enabled=True, kind__in=list(adapters.kinds())).defer("api_key")
    return [provider.config() for provider in providers]


def _keep_health(provider_id: int, health: Health, latency_ms: int) -> None:
    if not Provider.objects.filter(pk=provider_id).exists():
        return
    found = {
        "checked_at": timezone.now(),
        "latency_ms": latency_ms,
        "reachable": health.reachable,
        "reason": health.reason[:500],
        "key_accepted": health.key_accepted,
        "right_kind": health.right_kind,
        "model_loaded": health.model_loaded,
        "admin_url": health.admin_url if _is_link(health.admin_url) else "",
    }
    HealthReport.objects.update_or_create(provider_id=provider_id, defaults=found)


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://")) and len(url) <= 500


def _store(provider_id: int, models: list[Model], voices: list[Voice]) -> Fetched:
    model_rows = [CatalogueModel(provider_id=provider_id, external_id=one.id, name=one.name[:200]) for one in models]
    voice_rows = [_voice_row(provider_id, one) for one in voices]
    with transaction.atomic():
        vanished = _replace(CatalogueModel, provider_id, model_rows, ["name"])
        described = ["name", "language", "gender", "description", "styles", "model", "task_mode"]
        vanished += _replace(CatalogueVoice, provider_id, voice_rows, described)
    return Fetched(len(model_rows), len(voice_rows), vanished)


def _voice_row(provider_id: int, voice: Voice) -> CatalogueVoice:
    return CatalogueVoice(
        provider_id=provider_id,
        external_id=voice.id,
        name=voice.name[:200],
        language=voice.language[:100],
        gender=voice.gender[:20],
        description=voice.description,
        styles=list(voice.styles),
        model=voice.model[:200],
        task_mode=voice.task_mode or "",
    )


def _replace(kind: type[Any], provider_id: int, rows: Iterable[CatalogueEntry], described: list[str]) -> int:
    """Write the rows over the known ones, keep what was entered by hand, and mark what is listed no more."""
    unique = {row.external_id: row for row in rows if 0 < len(row.external_id) <= 200}
    listed = dict(list(unique.items())[:MAX_ENTRIES])
    kind.objects.bulk_create(
        listed.values(),
        update_conflicts=True,
        unique_fields=["provider", "external_id"],
        update_fields=[*described, "vanished_at"],
        batch_size=500,
    )
    known = kind.objects.filter(provider_id=provider_id, by_hand=False, vanished_at=None)
    gone = [pk for pk, external_id in known.values_list("pk", "external_id") if external_id not in listed]
    for start in range(0, len(gone), 500):
        kind.objects.filter(pk__in=gone[start : start + 500]).update(vanished_at=timezone.now())
    return len(gone)
