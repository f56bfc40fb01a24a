"""People in a real browser: the door, the own preferences, a colleague who is let in and sees only what is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from api.models import Preferences
from banks.models import Bank
from neiroha_site.roles import Role, role_of, set_role
from providers.audit import AuditEntry, Change
from providers.models import Provider
from tests.browser import NARROW, WIDE, Visitor, chromium

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as started:
            yield started


@pytest.fixture(autouse=True)
def quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def chief(transactional_db: None) -> User:
    return User.objects.create_superuser("chief", password=PASSWORD)


def try_door(page: Page, name: str, password: str) -> None:
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    with page.expect_navigation():
        page.get_by_role("button", name="Log in").click()


def sidebar(page: Page) -> list[str]:
    return [link.strip() for link in page.locator("#nav-sidebar a:visible").all_inner_texts()]


class Window:
    """One person's, who looks at each page that is shown to them."""

    def __init__(self, visitor: Visitor, width: int, dark: bool) -> None:
        self.visitor, self.page, self.width = visitor, visitor.page, width
        self.shade = f"{width}-{'dark' if dark else 'light'}"

    def look(self, name: str) -> None:
        self.visitor.assert_fits(self.width)
        self.visitor.shot(f"people-{name}-{self.shade}")


def enter_after_mistakes(window: Window) -> None:
    page = window.page
    page.goto("/admin/login/")
    for _ in range(3):
        try_door(page, "chief", "wrong")
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    window.look("door")
    try_door(page, "chief", PASSWORD)
    page.wait_for_url("**/admin/")


def choose_preferences(window: Window, chief: User) -> None:
    page = window.page
    page.goto("/admin/preferences/")
    page.select_option("#id_time_zone", "Asia/Shanghai")
    page.select_option("#id_language", "en")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your preferences are saved.")).to_be_visible()
    expect(page.get_by_text("Times are shown in Asia/Shanghai")).to_be_visible()
    window.look("preferences")
    row = Preferences.objects.get()
    assert (row.user, row.language, row.time_zone) == (chief, "en", "Asia/Shanghai")


def make_account(window: Window) -> str:
    """The one-time link."""
    page = window.page
    page.goto("/admin/auth/user/add/")
    page.fill("#id_username", "kim")
    window.look("add")
    page.get_by_label("Producer", exact=False).check()
    window.visitor.save()
    link = page.locator("#nr-link").inner_text()
    window.look("link")
    assert page.url.endswith("/admin/auth/user/"), "reloading makes no second account"
    return link


def take_up_account(window: Window, link: str) -> None:
    page = window.page
    page.goto(link)
    page.fill("#id_new_password1", PASSWORD)
    page.fill("#id_new_password2", PASSWORD)
    window.look("choose")
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_text("Your password is set. Sign in with it.")).to_be_visible()
    try_door(page, "kim", PASSWORD)
    page.wait_for_url("**/admin/")
    window.look("producer")


def see_what_producers_see(window: Window, bank: Bank) -> None:
    page = window.page
    if window.width == WIDE:
        shown = {name.split("\n")[-1] for name in sidebar(page)}
        assert {"Banks", "Characters", "Reference audio", "Providers", "Queue", "Keys", "Preferences"} <= shown
        assert not {"Users", "Groups", "Audit trail", "Server settings", "Request log"} & shown
    page.goto(f"/admin/banks/bank/{bank.pk}/change/")
    expect(page.locator("button[name=_save]")).to_be_visible()
    page.goto("/admin/providers/provider/")
    expect(page.get_by_role("link", name="House server")).to_be_visible()
    assert "sk-secret" not in page.content()
    assert window.visitor.complaints == []
    for path in ("/admin/auth/user/", "/admin/providers/auditentry/", "/admin/api/serversettings/1/change/"):
        answer = page.goto(path)
        assert answer is not None and answer.status == 403


def look_at_people(window: Window, kim: User) -> None:
    page = window.page
    pages = {
        "user": f"/admin/auth/user/{kim.pk}/change/",
        "users": "/admin/auth/user/",
        "password": "/admin/password_change/",
        "audit": "/admin/providers/auditentry/",
    }
    for name, path in pages.items():
        page.goto(path)
        window.look(name)
    expect(page.locator("#result_list tbody tr")).to_have_count(AuditEntry.objects.count())


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_from_a_wrong_password_to_a_colleague(
    browser: Browser, live_server: LiveServer, chief: User, width: int, dark: bool
) -> None:
    Provider.objects.create(name="House server", kind="openai", base_url="http://127.0.0.1:9", api_key="sk-secret")
    bank = Bank.objects.create(name="Stories")
    visitors = [Visitor(browser, live_server.url, width=width, dark=dark) for _ in range(2)]
    own, other = (Window(visitor, width, dark) for visitor in visitors)
    try:
        enter_after_mistakes(own)
        choose_preferences(own, chief)
        take_up_account(other, make_account(own))
        see_what_producers_see(other, bank)
        kim = User.objects.get(username="kim")
        assert role_of(kim) is Role.PRODUCER
        look_at_people(own, kim)
        assert own.visitor.complaints == []
    finally:
        for visitor in visitors:
            visitor.close()


def test_the_pause_is_said_on_the_page(browser: Browser, live_server: LiveServer, chief: User) -> None:
    visitor = Visitor(browser, live_server.url)
    try:
        page = visitor.page
        page.goto("/admin/login/")
        for _ in range(5):
            try_door(page, "chief", "wrong")
        assert visitor.complaints == []
        try_door(page, "chief", PASSWORD)
        expect(page.get_by_text("Too many failed attempts. Wait 1 minute, then try again.")).to_be_visible()
        visitor.shot("people-pause")
        assert any(complaint.startswith("429 ") for complaint in visitor.complaints)
        assert AuditEntry.objects.filter(change=Change.SIGN_IN_LOCKED, object_name="chief").count() == 1
    finally:
        visitor.close()


def test_the_browser_tells_its_zone(browser: Browser, live_server: LiveServer, chief: User) -> None:
    context = browser.new_context(base_url=live_server.url, timezone_id="America/New_York", locale="en-GB")
    try:
        page = context.new_page()
        page.goto("/admin/login/")
        try_door(page, "chief", PASSWORD)
        page.goto("/admin/preferences/")
        expect(page.get_by_text("Times are shown in America/New_York")).to_be_visible()
    finally:
        context.close()


def test_the_keyboard_reaches_the_own_pages(browser: Browser, live_server: LiveServer, chief: User) -> None:
    """The menu at the person's name opens by mouse only; the sidebar leads to the same pages."""
    set_role(chief, Role.VIEWER)
    visitor = Visitor(browser, live_server.url)
    try:
        visitor.sign_in("chief", PASSWORD)
        page = visitor.page
        page.get_by_role("link", name="Preferences").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/preferences/")
        page.get_by_role("link", name="Change password").last.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/admin/password_change/")
        page.go_back()
        page.get_by_role("button", name="Log out").last.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#nav-sidebar")).to_have_count(0)
        assert visitor.complaints == []
    finally:
        visitor.close()
