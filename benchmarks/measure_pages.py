"""The pages of a large installation: how long the server works for each, and how often it asks the database. Time is
that of the processor, so that what else runs on the machine does not count.

`python -m benchmarks.measure_pages` reads an order as JSON and prints its Pages.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.configure import set_up_django
from benchmarks.figures import Spread, Table
from benchmarks.processes import BenchmarkError, answer_of
from benchmarks.stage import Stage

if TYPE_CHECKING:
    from django.db.models import Model
    from django.test import Client

AIM_MILLISECONDS, AIM_QUERIES = 300, 15
SINGLE_PAGES = (
    "admin:index",
    "admin:queue",
    "admin:troubleshooting",
    "admin:banks_pronunciation_files",
    "admin:banks_pronunciation_try",
    "studio:quick",
    "studio:takes",
    "studio:projects",
)
OUR_APPS = ("providers", "banks", "studio", "api", "auth")
# The slowest are what is worth reading.
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Page:
    """Milliseconds of each round, and the database queries of one."""

    path: str
    milliseconds: list[float]
    queries: int

    @property
    def spread(self) -> Spread:
        return Spread.of(self.milliseconds)


def measure(stage: Stage) -> list[Page]:
    """Every page of the administration, the slowest first."""
    order = {"rounds": stage.settings.rounds, "size": stage.settings.installation}
    pages = [Page(**page) for page in answer_of("benchmarks.measure_pages", order)]
    return sorted(pages, key=lambda page: page.spread.median, reverse=True)


def table(pages: list[Page]) -> Table:
    slow = sum(page.spread.median > AIM_MILLISECONDS for page in pages)
    greedy = sum(page.queries > AIM_QUERIES for page in pages)
    return Table(
        "The pages of a large installation",
        ["page", "server CPU ms", "queries"],
        [[page.path, page.spread.shown(0), str(page.queries)] for page in pages[:SHOWN]],
        note=f"The slowest {min(SHOWN, len(pages))} of {len(pages)}. Over {AIM_MILLISECONDS} ms: {slow};"
        f" over {AIM_QUERIES} queries: {greedy}.",
    )


def paths() -> Iterator[str]:
    """The pages of no single row; for each model its list, a search in it, and its first row's page."""
    from django.contrib import admin
    from django.urls import reverse

    yield from (reverse(name) for name in SINGLE_PAGES)
    for model in admin.site._registry:
        if model._meta.app_label not in OUR_APPS:
            continue
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_changelist") + "?q=er"
        if first := _first_of(model):
            yield reverse(f"{name}_change", args=[first])


def _first_of(model: type[Model]) -> object:
    return model._default_manager.order_by("pk").values_list("pk", flat=True).first()


def open_page(client: Client, path: str) -> tuple[float, int]:
    """Milliseconds and database queries."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        started = time.process_time()
        response = client.get(path, follow=True)
        milliseconds = (time.process_time() - started) * 1000
    if response.status_code != 200:
        raise BenchmarkError(f"{path} answered {response.status_code}.")
    return milliseconds, len(queries)


def _answer(size: str, rounds: int) -> list[Page]:
    set_up_django()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from benchmarks.seeded import SIZES, seed

    call_command("migrate", verbosity=0, interactive=False)
    settings.ALLOWED_HOSTS.append("testserver")
    seed(SIZES[size])
    client = Client()
    client.force_login(User.objects.create_superuser("benchmark"))
    pages = []
    for path in paths():
        open_page(client, path)
        opened = [open_page(client, path) for _ in range(rounds)]
        pages.append(Page(path, [milliseconds for milliseconds, _ in opened], opened[0][1]))
    return pages


def main() -> None:
    order = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="neiroha-pages-") as folder:
        os.environ["NEIROHA_DATA_DIR"] = str(Path(folder) / "data")
        print(json.dumps([asdict(page) for page in _answer(**order)]))


if __name__ == "__main__":
    main()
