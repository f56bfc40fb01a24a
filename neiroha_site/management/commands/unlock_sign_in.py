from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from neiroha_site.guessing import for_account, for_address, unlock
from neiroha_site.models import FailedSignIns


class Command(BaseCommand):
    help = "End the pauses that failed sign-ins have brought: of one account, one address, or all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("account", nargs="?", default="", help="The name that the person signs in with.")
        parser.add_argument("--address", default="", help="An address from which nobody can sign in any more.")
        parser.add_argument("--all", action="store_true", help="Every account and every address.")

    def handle(self, *, account: str, address: str, all: bool, **options: Any) -> None:
        if all:
            FailedSignIns.objects.all().delete()
            self.stdout.write("All pauses are over.")
            return
        chosen = [*([for_account(account)] if account else []), *([for_address(address)] if address else [])]
        if not chosen:
            raise CommandError("Name an account, an address with --address, or --all.")
        self.stdout.write("The pause is over." if unlock(chosen) else "There was no pause.")
