"""Forms that are checked while they are filled in, in a real Chromium."""

from __future__ import annotations

from playwright.sync_api import Page, Request, expect

from api.models import Access, ServerSettings
from tests.browser import NARROW
from tests.test_accessibility import violations
from tests.test_pages_browser import Visit, browser, visit  # noqa: F401 - fixtures

SETTINGS = "/admin/api/serversettings/1/change/"


def leave(page: Page, selector: str, value: str) -> None:
    """Type it, and go on to the next field."""
    page.fill(selector, value)
    with page.expect_response("**/live-check/*"):
        page.press(selector, "Tab")


def open_settings(page: Page) -> None:
    ServerSettings.load()
    page.goto(SETTINGS)


def test_a_mistake_is_told_at_its_field_and_goes_when_it_is_mended(visit: Visit) -> None:  # noqa: F811
    page = visit().page
    open_settings(page)
    leave(page, "#id_cors_origins", "chat.example.com")
    origins = page.locator("#id_cors_origins")
    expect(origins).to_have_attribute("aria-invalid", "true")
    box = page.locator("#nr-check-cors_origins")
    expect(box).to_contain_text("“chat.example.com” is not an origin")
    expect(origins).to_have_attribute("aria-describedby", "nr-check-cors_origins")
    assert violations(page) == []
    page.fill("#id_cors_origins", "https://chat.example.com")
    expect(box).to_be_empty()
    expect(origins).not_to_have_attribute("aria-invalid", "true")
    expect(origins).not_to_have_attribute("aria-describedby", "nr-check-cors_origins")
    assert ServerSettings.load().cors_origins == "", "nothing is saved by asking"


def test_what_a_field_does_to_another_is_told_at_that_one(visit: Visit) -> None:  # noqa: F811
    visitor = visit(width=NARROW, dark=True)
    page = visitor.page
    open_settings(page)
    leave(page, "#id_host", "0.0.0.0")
    expect(page.locator("#nr-check-access")).to_contain_text("0.0.0.0 can be reached from other machines")
    expect(page.locator("#nr-check-host")).to_contain_text("Until the server is started again")
    visitor.assert_fits(NARROW)
    visitor.shot("live-check-narrow-dark")
    page.select_option("#id_access", "keys")
    expect(page.locator("#nr-check-access")).to_contain_text("There is no key yet that works")
    expect(page.locator("#id_access")).not_to_have_attribute("aria-invalid", "true")
    assert violations(page) == []
    visitor.save()
    row = ServerSettings.load()
    assert (row.host, row.access) == ("0.0.0.0", Access.KEYS)


def test_what_saving_refused_is_mended_in_sight(visit: Visit) -> None:  # noqa: F811
    visitor = visit()
    page = visitor.page
    open_settings(page)
    page.fill("#id_port", "70000")
    visitor.save()
    told = page.locator(".field-port .errorlist")
    expect(told).to_have_count(1)
    leave(page, "#id_port", "8976")
    expect(told).to_have_count(0)
    expect(page.locator("#id_port")).not_to_have_attribute("aria-invalid", "true")


def test_what_is_not_filled_in_yet_is_no_mistake(visit: Visit) -> None:  # noqa: F811
    page = visit().page
    page.goto("/admin/api/apikey/add/")
    with page.expect_response("**/live-check/*"):
        page.select_option("#id_scope", "read")
    expect(page.locator("#nr-check-name")).to_be_empty()
    page.fill("#id_name", "x")
    leave(page, "#id_name", "")
    expect(page.locator("#nr-check-name")).to_contain_text("required")


def test_secrets_are_not_sent_before_they_are_saved(visit: Visit) -> None:  # noqa: F811
    page = visit().page
    page.goto("/admin/providers/provider/add/?kind=openai")
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/live-check/" in request.url:
            asked.append((request.post_data_buffer or b"").decode())

    page.on("request", note)
    leave(page, "#id_base_url", "http://127.0.0.1:9/v1")
    leave(page, "#id_key", "sk-very-secret")
    assert len(asked) >= 2 and "**************" in asked[-1]
    assert not any("sk-very-secret" in body for body in asked)
