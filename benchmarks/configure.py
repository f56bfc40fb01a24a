"""`python -m benchmarks.configure UPSTREAM_URL PROVIDERS`: what the benchmark speaks through, in a fresh data folder.

Prints the API key. Everything that costs time on the speech path is on: key, throttle, resolution, queue, log.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from banks.models import Bank

BANK = "Benchmark"
KEEPING_BANK = "Keeping"
# Far beyond what is sent, so that the throttle counts every request and refuses none.
RATE_LIMIT = 10_000_000
QUEUE_LIMIT = 10_000
WAIT_SECONDS = 3600
CONCURRENCY = 64
# What the queue's cost is measured with: nearly all that is sent at once has to wait.
NARROW = 4


def set_up_django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neiroha_site.settings")
    django.setup()


def main(upstream: str, providers: int) -> None:
    set_up_django()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    _set_controls()
    _make_bank(upstream, providers)
    _make_keeping_bank()
    print(_make_key())


def _set_controls() -> None:
    from api.models import ServerSettings

    controls = ServerSettings.load()
    controls.log_requests = True
    controls.queue_limit = QUEUE_LIMIT
    controls.queue_deadline_seconds = WAIT_SECONDS
    controls.full_clean()
    controls.save()


def _make_bank(upstream: str, providers: int) -> None:
    """Voices `instant`, `stream`, `slow`, `paced`, `faulty`, `narrow`, and `held-0`, `held-1`, …, each through a
    provider of its own.
    """
    from banks.models import Bank

    bank = Bank.objects.create(name=BANK)
    for name in ("instant", "stream", "slow", "paced", "faulty"):
        _add_voice(bank, name, f"{upstream}/{name}/v1")
    for number in range(providers):
        _add_voice(bank, f"held-{number}", f"{upstream}/held/v1")
    _add_voice(bank, "narrow", f"{upstream}/held/v1", concurrency=NARROW)


def _make_keeping_bank() -> None:
    """The same voice “instant”, in a bank that keeps what it says."""
    from banks.models import Bank, Character, Membership

    bank = Bank.objects.create(name=KEEPING_BANK, cache_speech=True)
    Membership.objects.create(bank=bank, character=Character.objects.get(name="instant"))


def _add_voice(bank: Bank, name: str, url: str, *, concurrency: int = CONCURRENCY) -> None:
    from banks.models import Character, Membership
    from providers.models import Provider

    provider = Provider(
        name=name, kind="openai", base_url=url, max_concurrency=concurrency, timeout_seconds=WAIT_SECONDS
    )
    provider.full_clean()
    provider.save()
    character = Character(name=name, provider=provider, model="tts-1", voice="alloy")
    character.full_clean()
    character.save()
    Membership.objects.create(bank=bank, character=character)


def _make_key() -> str:
    from api.models import ApiKey

    key, secret = ApiKey.objects.issue(name="benchmark")
    key.rate_limit_per_minute = RATE_LIMIT
    key.full_clean()
    key.save()
    return secret


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
