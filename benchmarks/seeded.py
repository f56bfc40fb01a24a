"""An installation as large as a busy team's, for query counts and `make bench`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from api.models import ApiKey, RequestLog, hash_key
from banks.models import Bank, Character, Membership, Pronunciation
from providers.models import CatalogueVoice, HealthReport, Provider, UsageMinute
from studio.frozen import FrozenVoice, MadeWith
from studio.models import Take, TakeState


@dataclass(frozen=True, slots=True)
class Size:
    providers: int = 20
    voices: int = 4_000
    banks: int = 50
    characters: int = 1_000
    log_rows: int = 100_000
    keys: int = 20
    takes: int = 20_000


SMALL = Size(providers=4, voices=40, banks=6, characters=30, log_rows=60, keys=4, takes=60)
SIZES = {"large": Size(), "small": SMALL}


def seed(size: Size) -> None:
    """Fill an empty database; the same rows each time."""
    dice = random.Random(7)
    now = timezone.now().replace(microsecond=0)
    providers = [
        Provider.objects.create(name=f"Provider {number}", kind="embedded", position=number)
        for number in range(size.providers)
    ]
    HealthReport.objects.bulk_create(
        HealthReport(provider=provider, checked_at=now, reachable=True, latency_ms=40) for provider in providers
    )
    CatalogueVoice.objects.bulk_create(
        CatalogueVoice(
            provider=providers[number % size.providers],
            external_id=f"en-US-Voice{number}Neural",
            name=f"Voice {number}",
            language="en-US",
        )
        for number in range(size.voices)
    )
    minutes = [now.replace(second=0) - timedelta(minutes=30 * number) for number in range(24 * 60)]
    UsageMinute.objects.bulk_create(
        UsageMinute(provider=dice.choice(providers), minute=minute, requests=3, tokens=90, characters=400)
        for minute in minutes
    )
    _seed_voices(size, providers)
    _seed_api(size, providers, dice)
    _seed_takes(size, providers, dice)


def _seed_voices(size: Size, providers: list[Provider]) -> None:
    characters = Character.objects.bulk_create(
        Character(name=f"Character {number}", provider=providers[number % size.providers], voice="heart")
        for number in range(size.characters)
    )
    banks = Bank.objects.bulk_create(Bank(name=f"Bank {number}", position=number) for number in range(size.banks))
    Membership.objects.bulk_create(
        Membership(bank=banks[number % size.banks], character=character, position=number)
        for number, character in enumerate(characters)
    )
    Pronunciation.objects.bulk_create(
        Pronunciation(written=f"Word {number}", spoken="said", bank=bank) for number, bank in enumerate([None, *banks])
    )


def _seed_api(size: Size, providers: list[Provider], dice: random.Random) -> None:
    now = timezone.now()
    ApiKey.objects.bulk_create(
        ApiKey(name=f"Key {number}", digest=hash_key(f"nr-{number}"), hint="abcd") for number in range(size.keys)
    )
    RequestLog.objects.bulk_create(
        (
            RequestLog(
                at=now - timedelta(seconds=20 * number),
                request_id=f"req_{number}",
                method="POST",
                path="/v1/audio/speech",
                status=dice.choice([200, 200, 200, 429, 500]),
                provider=dice.choice(providers).name,
                key_name=f"Key {dice.randrange(size.keys)}",
                first_byte_ms=dice.randrange(2000),
                inference_ms=400,
                audio_ms=4000,
            )
            for number in range(size.log_rows)
        ),
        batch_size=2000,
    )


def _seed_takes(size: Size, providers: list[Provider], dice: random.Random) -> None:
    """Of one person, without files."""
    owner, now = User.objects.create(username="speaker"), timezone.now()
    characters = list(Character.objects.order_by("pk")[:200])
    made_with = MadeWith(FrozenVoice("Character 0", "Bank 0", providers[0].pk, "Provider 0", "embedded")).as_json()
    Take.objects.bulk_create(
        (
            Take(
                owner=owner,
                text=f"Sentence {number}, which somebody wanted to hear.",
                character=dice.choice(characters),
                provider=providers[0],
                made_with_json=made_with,
                format="wav",
                state=dice.choice([TakeState.DONE, TakeState.DONE, TakeState.FAILED]),
                file=f"takes/{number}.wav",
                size=96_000,
                duration=2.0,
                waveform=[40] * 400,
                created_at=now - timedelta(minutes=3 * number),
            )
            for number in range(size.takes)
        ),
        batch_size=2000,
    )
