"""Every page by axe-core: no violation of WCAG 2.2, A and AA."""

from __future__ import annotations

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from banks.models import Bank, Pronunciation
from benchmarks.measure_pages import paths
from providers.models import Provider
from tests.browser import NARROW, WIDE
from tests.test_pages_browser import Visit, browser, fill_catalogue, house, visit  # noqa: F401 - fixtures

STANDARD = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
FURTHER = [
    "/admin/banks/bank/add/",
    "/admin/banks/character/add/",
    "/admin/banks/pronunciation/add/",
    "/admin/banks/pronunciation/try/?text=A+gif",
    "/admin/providers/provider/add/",
    "/admin/providers/provider/add/?kind=openai",
    "/admin/api/apikey/add/",
    "/admin/auth/user/add/",
    "/admin/password_change/",
]


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page, a line each."""
    found: dict[str, Any] = Axe().run(page, options=json.loads(json.dumps(STANDARD))).response
    return [
        f"{each['id']} ({each['help']}): {node['html'][:200]}"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_no_page_shuts_anybody_out(visit: Visit, house: Bank, width: int, dark: bool) -> None:  # noqa: F811
    fill_catalogue(Provider.objects.get(name="Studio"))
    Pronunciation.objects.create(written="gif", spoken="jif")
    Pronunciation.objects.create(written="hush", spoken="", bank=house)
    visitor = visit(width=width, dark=dark)
    found = {}
    for path in [*paths(), *FURTHER]:
        visitor.page.goto(path)
        visitor.settle()
        if lines := violations(visitor.page):
            found[path] = lines
    listed = "\n".join(f"{path}: {line}" for path, lines in found.items() for line in lines)
    assert not found, listed
