from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils.translation import gettext_noop

from api.models import Access, ApiKey, Scope, ServerSettings
from banks.models import Bank
from providers.audit import Change, record


class Command(BaseCommand):
    help = "Make an API key and print it, once. The first key closes the API to everybody without one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="What the key is for.")
        parser.add_argument(
            "--bank", action="append", default=[], help="A bank that the key may use; may be repeated. None: all banks."
        )
        parser.add_argument("--owner", default="", help="The user whose deactivation stops the key.")
        parser.add_argument(
            "--scope",
            choices=Scope.values,
            default=Scope.SPEECH,
            help="What it reaches; read and manage need an owner.",
        )

    def handle(self, *, name: str, bank: list[str], owner: str, scope: str, **options: Any) -> None:
        if scope in (Scope.READ, Scope.MANAGE) and not owner:
            raise CommandError("Name its --owner: under /api/ a key has that user's rights, and without one none.")
        was_open = ServerSettings.load().access == Access.OPEN
        with transaction.atomic():
            banks = [find_bank(wanted) for wanted in bank]
            key, secret = ApiKey.objects.issue(name=name, owner_id=find_owner(owner), scope=Scope(scope))
            try:
                key.full_clean()
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
            key.banks.set(banks)
            record(None, key, Change.ADDED, gettext_noop("By a command."))
        self.stdout.write(secret)
        if was_open and ServerSettings.load().access == Access.KEYS:
            self.stderr.write("From now on, every request to the API needs a key.")


def find_bank(name: str) -> Bank:
    found = Bank.objects.present().filter(name__iexact=name).first()
    if found is None:
        known = ", ".join(Bank.objects.present().values_list("name", flat=True))
        raise CommandError(f"There is no bank named {name!r}; there are: {known or 'none'}.")
    return found


def find_owner(name: str) -> int | None:
    if not name:
        return None
    found = User.objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user named {name!r}.")
    return found.pk
