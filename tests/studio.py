"""What the tests of the studio share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from banks.models import Character
from banks.storage import private_storage
from providers.speech import AudioFormat
from studio.cast import freeze
from studio.files import finished, folder
from studio.frozen import MadeWith
from studio.models import Take, TakeState
from tests.sounds import tone, wav_file
from tests.test_api_streams import eventually

QUICK, TAKES, ACT = "/studio/", "/studio/takes/", "/studio/takes/act/"
PRODUCER = ("studio.add_take", "studio.view_take", "studio.change_take", "studio.delete_take")


def somebody(name: str, *rights: str, superuser: bool = False) -> User:
    user = User.objects.create(username=name, is_staff=True, is_superuser=superuser)
    for right in rights:
        app, codename = right.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@contextmanager
def browser_of(user: User, address: str) -> Iterator[httpx.Client]:
    """This person's browser at a running server."""
    session = signed_in(user).cookies["sessionid"].value
    with httpx.Client(base_url=address, timeout=120, trust_env=False, cookies={"sessionid": session}) as browser:
        yield browser


def post(browser: httpx.Client, path: str, **values: Any) -> httpx.Response:
    """As a form of a page of ours sends it; the page that follows."""
    page = browser.get(path if path != ACT else TAKES)
    token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    headers = {"Referer": str(browser.base_url)}
    return browser.post(path, data={"csrfmiddlewaretoken": token, **values}, headers=headers, follow_redirects=True)


def ask(browser: httpx.Client, character: Character, text: str, **values: Any) -> Take:
    """Have the text spoken on the page; the take as it was queued."""
    before = set(Take.objects.values_list("pk", flat=True))
    place = character.memberships.first()
    asked = {
        "character": f"{place.bank_id if place else 0}-{character.pk}",
        "text": text,
        "format": "mp3",
        "speed": "1",
    }
    page = post(browser, QUICK, **asked | values)
    assert page.status_code == 200, page.text
    (take,) = Take.objects.exclude(pk__in=before)
    return take


def ended(take: Take) -> Take:
    """The take once nothing is done for it any more."""
    eventually(lambda: not Take.objects.get(pk=take.pk).is_open)
    return Take.objects.get(pk=take.pk)


def queued(owner: User, character: Character, text: str = "Hello there.", **values: Any) -> Take:
    voice = freeze(character.pk, "Stories")
    assert voice is not None
    take = Take.ask(owner, text, MadeWith(voice), values.pop("format", "wav"), character=character, **values)
    take.save()
    return take


def claimed(owner: User, character: Character, **values: Any) -> Take:
    (take,) = Take.objects.claim([queued(owner, character, **values).pk])
    return take


def done(owner: User, character: Character, *, days_ago: float = 0, seconds: float = 0.1, **values: Any) -> Take:
    """A take with a file, without anybody having spoken."""
    take = claimed(owner, character, created_at=timezone.now() - timedelta(days=days_ago), **values)
    wav = wav_file(tone(24_000, seconds), 24_000)
    spoken = wav[44:] if take.format == "pcm" else wav
    assert take.format in ("wav", "pcm", "flac"), "others need a codec"
    made = finished(spoken, AudioFormat(take.format))
    assert take.complete(made, queue_ms=3, inference_ms=20)
    return Take.objects.get(pk=take.pk, state=TakeState.DONE)


def stored() -> set[str]:
    """The names of all files of takes, those in the making too."""
    return {path.name for path in folder().iterdir()} if folder().exists() else set()


def clear_files() -> None:
    """What a test stored whose rows are rolled back."""
    for path in folder().iterdir() if folder().is_dir() else ():
        path.unlink(missing_ok=True)


def file_of(take: Take) -> bytes:
    return Path(private_storage().path(take.file.name or "")).read_bytes()
