"""The native API on the running server: bodies without end, the request's id and its log, the queue, and its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.test import RequestFactory
from playwright.sync_api import expect

from api.models import ApiKey, RequestLog, Scope
from api.native.errors import bad_request, server_error
from banks.models import Bank
from providers.models import Provider
from tests.browser import Visitor, chromium
from tests.conftest import add_character
from tests.native_api import make_user, session
from tests.test_api_errors import change_settings, refusal
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

PASSWORD = "correct horse battery staple"


def by_key(server: str, *rights: str, superuser: bool = False, scope: Scope = Scope.MANAGE) -> httpx.Client:
    owner = make_user(*rights, superuser=superuser)
    _key, secret = ApiKey.objects.issue(name="Robot", owner_id=owner.pk, scope=scope)
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=server, timeout=120, trust_env=False, headers=headers)


@pytest.fixture
def admin(server: str) -> Iterator[httpx.Client]:
    with by_key(server, superuser=True) as client:
        yield client


# Bodies.


def test_a_body_has_the_limit_of_the_settings(admin: httpx.Client) -> None:
    change_settings(max_body_bytes=1000)
    answer = admin.post("/api/banks/", json={"name": "Stories", "description": "x" * 900})
    assert answer.status_code == 201
    refused = admin.post("/api/banks/", json={"name": "Tales", "description": "x" * 1000})
    assert refusal(refused, 413)["code"] == "body_too_large" and refused.headers["connection"] == "close"
    assert "1000 bytes" in refusal(refused, 413)["message"]
    assert Bank.objects.count() == 1


def test_a_body_of_no_declared_length_is_counted(admin: httpx.Client) -> None:
    change_settings(max_body_bytes=1000)
    headers = {"Content-Type": "application/json"}
    made = admin.post("/api/banks/", content=iter([b'{"name": ', b'"Stories"}']), headers=headers)
    assert made.status_code == 201 and made.json()["name"] == "Stories"
    speech = b'{"voice": "Heart", "input": "Hello."}'
    refused = admin.post("/v1/audio/speech", content=iter([speech[:9], speech[9:]]), headers=headers)
    assert refusal(refused, 404)["code"] == "voice_not_found", "it was read"
    endless = {"voice": "Heart", "input": "Hello.", "speed": 10**400}
    assert refusal(admin.post("/v1/audio/speech", json=endless), 400)["param"] == "speed"
    long = (b'{"name": "Tales", "description": "' if first else b"x" * 400 for first in (True, *[False] * 10))
    assert refusal(admin.post("/api/banks/", content=long, headers=headers), 413)["code"] == "body_too_large"
    assert Bank.objects.count() == 1


def test_an_upload_has_a_limit_of_its_own(admin: httpx.Client) -> None:
    change_settings(max_body_bytes=1000)
    elsewhere = admin.post("/api/banks/", files={"name": b"x" * 5000})
    assert refusal(elsewhere, 413)["code"] == "body_too_large"
    small = {"file": ("voice.wav", b"x" * 5000, "audio/wav")}
    assert refusal(admin.post("/api/references/", files=small, data={"name": "Ann"}), 400)["param"] == "file"
    try:
        status = admin.post("/api/references/", files={"file": b"x" * (33 * 1024**2)}).status_code
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return  # the server closed while we still sent
    assert status == 413


def test_who_has_no_right_is_told_so_whatever_is_sent(server: str) -> None:
    with httpx.Client(base_url=server, timeout=60, trust_env=False) as nobody:
        assert refusal(nobody.post("/api/references/", files={"file": b"x" * 100_000}), 401)
        assert refusal(nobody.post("/api/banks/", content=b"{"), 401)


# The frame around each request.


def test_every_answer_has_its_id_and_its_row_in_the_log(admin: httpx.Client) -> None:
    change_settings(log_requests=True)
    calls = [
        (admin.get("/api/banks/"), ""),
        (admin.get("/api/banks/999/"), "not_found"),
        (admin.get("/api/nothing"), "not_found"),
        (httpx.get(f"{admin.base_url}/api/banks/", trust_env=False), "not_authenticated"),
        (admin.post("/api/banks/", content=b"x" * 2_000_000), "body_too_large"),
    ]
    assert len({answer.headers["x-request-id"] for answer, _code in calls}) == len(calls)
    eventually(lambda: RequestLog.objects.count() == len(calls))
    for answer, code in calls:
        row = RequestLog.objects.get(request_id=answer.headers["x-request-id"])
        assert (row.status, row.error_code, row.address) == (answer.status_code, code, "127.0.0.1")
        assert row.method == answer.request.method and row.complete
        assert row.key_name == (
            "" if code in ("not_authenticated", "body_too_large") or "nothing" in row.path else "Robot"
        )
    eventually(lambda: ApiKey.objects.get().last_used_at is not None)


def test_a_foreign_name_is_refused_in_the_apis_shape(admin: httpx.Client) -> None:
    refused = admin.get("/api/banks/", headers={"Host": "evil.example.com"})
    assert refusal(refused, 400)["code"] == "host_not_allowed" and refused.headers["x-request-id"]
    page = admin.get("/admin/login/", headers={"Host": "evil.example.com"})
    assert page.status_code == 400 and "text/html" in page.headers["content-type"]


def test_what_nobody_foresaw_tells_nothing(admin: httpx.Client) -> None:
    # A row that no form of ours lets in.
    Provider.objects.create(name="Odd", kind="embedded", options="not a mapping")
    failed = admin.get("/api/providers/")
    assert refusal(failed, 500)["code"] == "internal_error" and failed.headers["x-request-id"]
    assert "mapping" not in failed.text and "Error:" not in failed.text


def test_a_failure_before_any_view_has_the_shape_of_its_place(rf: RequestFactory) -> None:
    native, page = server_error(rf.get("/api/banks/")), server_error(rf.get("/admin/"))
    assert json.loads(native.content)["error"]["code"] == "internal_error"
    assert native.status_code == page.status_code == 500 and page["Content-Type"].startswith("text/html")
    unreadable = bad_request(rf.get("/api/banks/"), SuspiciousOperation())
    assert json.loads(unreadable.content)["error"]["code"] == "bad_request"


def test_a_change_is_in_force_for_speech_at_once(admin: httpx.Client, bank: Bank) -> None:
    assert [model["id"] for model in admin.get("/v1/models").json()["data"]] == ["Stories"]
    assert admin.patch(f"/api/banks/{bank.pk}/", json={"name": "Tales"}).status_code == 200
    assert [model["id"] for model in admin.get("/v1/models").json()["data"]] == ["Tales"]
    assert admin.patch("/api/settings/", json={"max_input_characters": 3}).status_code == 200
    assert refusal(admin.post("/v1/audio/speech", json={"voice": "Heart", "input": "Hello."}), 400)["param"] == "input"


# The queue.


@pytest.fixture
def upstream(server: str, bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider with one place, which speaks when it is told to."""
    change_settings(rate_limit_per_minute=0)
    app = OpenAIUpstream(held=True)
    with serve(app) as url:
        provider = Provider.objects.create(name="Upstream", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app
        app.release(100)


def test_the_queue_is_seen_and_ended_by_who_may(server: str, upstream: OpenAIUpstream) -> None:
    body = {"voice": "Alloy", "input": "A sentence."}
    looks = ("providers.view_provider",)
    with (
        ThreadPoolExecutor(2) as pool,
        by_key(server, *looks) as mine,
        by_key(server, *looks) as theirs,
        by_key(server, *looks, scope=Scope.READ) as reader,
        by_key(server, superuser=True) as admin,
    ):

        def queue(client: httpx.Client) -> Any:
            return client.get("/api/queue/").json()

        def ended(client: httpx.Client) -> list[str]:
            """The server remembers other tests' providers too."""
            provider = Provider.objects.get(name="Upstream").pk
            return [ticket["outcome"] for ticket in queue(client)["recent"] if ticket["provider"] == provider]

        first = pool.submit(mine.post, "/v1/audio/speech", json=body)
        upstream.wait_for(lambda app: len(app.spoken) == 1)
        second = pool.submit(theirs.post, "/v1/audio/speech", json=body)
        eventually(lambda: queue(admin)["waiting_count"] == 1)
        seen = queue(mine)
        (running,), (waiting,) = seen["running"], seen["waiting"]
        assert (running["mine"], running["may_cancel"], waiting["mine"], waiting["may_cancel"]) == (
            True,
            True,
            False,
            False,
        )
        assert running["provider_name"] == "Upstream" and running["source"] == "Robot" and waiting["expected"] >= 0
        for client, status in ((mine, 404), (reader, 403)):
            assert client.delete(f"/api/queue/{waiting['id']}/").status_code == status
        assert mine.post("/api/queue/cancel/", json={"which": "all"}).status_code == 403
        assert not second.done()
        assert theirs.post("/api/queue/cancel/", json={"which": "mine"}).json() == {"cancelled": 1}
        assert refusal(second.result(), 503)["code"] == "cancelled"
        assert mine.delete(f"/api/queue/{running['id']}/").status_code == 204
        assert refusal(first.result(), 503)["code"] == "cancelled"
        eventually(lambda: queue(admin)["running_count"] == 0)
        third = pool.submit(theirs.post, "/v1/audio/speech", json=body)
        upstream.wait_for(lambda app: len(app.spoken) == 2)
        assert admin.post("/api/queue/cancel/", json={"which": "all"}).json() == {"cancelled": 1}
        assert refusal(third.result(), 503)["code"] == "cancelled"
        eventually(lambda: len(ended(admin)) == 3)
        assert set(ended(admin)) <= {"cancelled", "left"}
        assert len(admin.get("/api/queue/?limit=1").json()["recent"]) == 1


# The schema and its page.


def test_the_schema_and_its_page_are_for_those_who_are_signed_in(server: str) -> None:
    with httpx.Client(base_url=server, timeout=60, trust_env=False) as nobody:
        assert refusal(nobody.get("/api/schema/"), 401)
        assert nobody.get("/api/docs/").headers["location"] == "/admin/login/?next=/api/docs/"
    with by_key(server, scope=Scope.READ) as reader:
        shown = reader.get("/api/schema/")
        assert shown.headers["content-type"].startswith("application/vnd.oai.openapi+json")
        assert {"/api/banks/", "/v1/audio/speech"} <= set(shown.json()["paths"])
        assert "/api/docs/" not in shown.json()["paths"]
    assert session(staff=False).client.get("/api/docs/").status_code == 403
    assert session().client.post("/api/docs/").status_code == 405


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_works_under_the_content_security_policy(
    server: str, monkeypatch: pytest.MonkeyPatch, dark: bool
) -> None:
    # Playwright's own loop runs in this thread; Django would take it for an asynchronous caller.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    User.objects.create_superuser("admin", password=PASSWORD)
    with chromium() as browser:
        visitor = Visitor(browser, server, dark=dark)
        visitor.sign_in("admin", PASSWORD)
        page = visitor.page
        page.goto("/api/docs/")
        expect(page.get_by_role("heading", name="Neiroha")).to_be_visible()
        page.locator("#operations-tag-banks").click()
        page.locator("#operations-banks-banks_create").get_by_role("button").first.click()
        operation = page.locator("#operations-banks-banks_create")
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("textbox").fill('{"name": "By the page"}')
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("201")
        visitor.shot(f"api-docs-{dark}", full=False)
        shown = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
        assert shown == ("dark" if dark else "normal")
        page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('light'))")
        page.reload()
        expect(page.locator("html.dark-mode")).to_have_count(0)
        assert visitor.complaints == []
        visitor.close()
    assert Bank.objects.get().name == "By the page"
