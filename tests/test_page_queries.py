"""No page asks the database more than a few times, however much there is."""

from __future__ import annotations

import pytest
from django.test import Client

from benchmarks.measure_pages import AIM_QUERIES, open_page, paths
from benchmarks.seeded import SMALL, seed
from tests.admin_pages import person


@pytest.mark.django_db(transaction=True)
def test_every_page_asks_little() -> None:
    seed(SMALL)
    client: Client = person(superuser=True)
    client.get("/admin/")
    asked = {path: open_page(client, path)[1] for path in paths()}
    assert len(asked) > 20
    assert {path: count for path, count in asked.items() if count > AIM_QUERIES} == {}
