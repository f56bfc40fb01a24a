"""What a new installation gets once: a bank that speaks, and a way to its first administrator."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.translation import gettext_noop

from api.models import ServerSettings
from banks.models import Bank, Character, Membership
from neiroha_site.environment import kept_secret
from providers.adapters import adapter_class
from providers.audit import Change, record
from providers.models import Provider

ADMIN_NAME = "admin"


def make_default_bank() -> bool:
    """The bank that speaks on a fresh machine: made once, and never again what its owner deleted. True when made."""
    ServerSettings.load()
    with transaction.atomic():
        if not ServerSettings.objects.filter(pk=1, seeded_at=None).update(seeded_at=timezone.now()):
            return False
        concurrency = adapter_class("embedded").capabilities.default_concurrency
        provider = _saved(Provider(name="Embedded voice", kind="embedded", max_concurrency=concurrency))
        heart = _saved(Character(name="Heart", provider=provider, voice="heart", language="en-US"))
        bank = _saved(Bank(name="Neiroha", description="The voice that comes with Neiroha.", default_character=heart))
        _saved(Membership(bank=bank, character=heart))
    return True


def _saved[M: Model](row: M) -> M:
    row.full_clean()
    row.save()
    return row


def make_admin(password: str) -> None:
    """The user `admin` with NEIROHA_ADMIN_PASSWORD, while there is no administrator. CommandError when it can't be."""
    admin = User(username=ADMIN_NAME, is_staff=True, is_superuser=True)
    try:
        validate_password(password, admin)
    except ValidationError as error:
        raise CommandError(f"NEIROHA_ADMIN_PASSWORD: {' '.join(error.messages)}") from error
    with transaction.atomic():
        if has_administrator():
            return
        if User.objects.filter(username__iexact=ADMIN_NAME).exists():
            raise CommandError(
                f"NEIROHA_ADMIN_PASSWORD: a user named {ADMIN_NAME} exists and is no administrator."
                f" Make it one with `manage.py shell`, or make another with `manage.py createsuperuser`."
            )
        admin.set_password(password)
        admin.save()
        record(None, admin, Change.ADDED, gettext_noop("By NEIROHA_ADMIN_PASSWORD."))


def has_administrator() -> bool:
    return User.objects.filter(is_superuser=True).exists()


class SetupToken:
    """The secret in the set-up link: in the data folder for its owner only, gone once an administrator exists."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or settings.DATA_DIR) / "secrets" / "setup_token"

    def offer(self) -> str:
        """The token that opens the set-up page, made when missing."""
        try:
            return kept_secret(self._path, "key")
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    def matches(self, given: str) -> bool:
        try:
            kept = self._path.read_bytes().strip()
        except FileNotFoundError:
            return False
        return bool(kept) and secrets.compare_digest(kept, given.encode("utf-8", "surrogatepass"))

    def consume(self) -> None:
        self._path.unlink(missing_ok=True)


def create_administrator(user: User) -> bool:
    """Save a superuser if it is the first one, and consume the token; False when somebody else was first."""
    ServerSettings.load()
    with transaction.atomic():
        # Two that come at once wait for each other here.
        ServerSettings.objects.select_for_update().get(pk=1)
        if has_administrator():
            return False
        user.is_staff = user.is_superuser = True
        user.save()
        transaction.on_commit(SetupToken().consume)
    return True
