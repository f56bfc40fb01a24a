"""What the outermost application decides: whose addresses it believes, which paths are the API's."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pytest_django import Settings

from api.handler import is_api_path
from api.models import ApiKey, Scope
from api.throttling import windows
from banks.models import Bank
from neiroha_site import asgi
from providers.versions import bump
from tests.live_server import serve
from tests.native_api import make_user
from tests.test_api_errors import change_settings, refusal


# The last one is a network that is named by one of its addresses, as Docker shows its own.
@pytest.fixture(params=["127.0.0.1", "127.0.0.0/8", "127.9.8.7/8"])
def behind_proxy(transactional_db: None, settings: Settings, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client of the application that trusts the proxy at 127.0.0.1."""
    settings.TRUSTED_PROXIES = ["10.1.2.3/8", request.param]
    windows.clear()
    bump()
    with serve(asgi._build()) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/%00", 404),
        ("/v1/jobs/a%00", 404),
        ("/v1/audio/voices?model=%00", 404),
        ("/api/banks/?search=a%00b", 200),
        ("/api/banks/%00/", 404),
        ("/%00", 404),
        ("/admin/%00/", 302),
        ("/admin/login/?next=%00", 200),
    ],
)
def test_a_nul_in_an_address_finds_nothing_and_breaks_nothing(
    behind_proxy: httpx.Client, path: str, status: int
) -> None:
    owner = make_user(superuser=True)
    _, secret = ApiKey.objects.issue(name="robot", owner_id=owner.pk, scope=Scope.MANAGE)
    assert behind_proxy.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code == status


def test_only_a_nul_is_replaced() -> None:
    scope = {"path": "/a%b", "query_string": b"a=%2500&b=%01"}
    assert asgi.without_nul(scope) is scope
    other = asgi.without_nul({"path": "/a\0b", "query_string": b"a=1&b=%00c", "more": 1})
    assert other == {"path": "/a\ufffdb", "query_string": b"a=1&b=%EF%BF%BDc", "more": 1}


def test_addresses_that_a_trusted_proxy_forwards_count(behind_proxy: httpx.Client) -> None:
    Bank.objects.create(name="Stories")
    change_settings(rate_limit_per_minute=1)

    def status(forwarded: str) -> int:
        return behind_proxy.get("/v1/models", headers={"X-Forwarded-For": forwarded}).status_code

    assert status("203.0.113.1") == 200
    assert status("203.0.113.2") == 200
    assert status("203.0.113.1") == 429
    assert status("198.51.100.7, 203.0.113.2") == 429, "only the nearest untrusted address counts"
    assert status("2001:db8::1") == 200
    assert status("2001:db8::2") == 429


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/models", "/speakers", "/speakers/", "/health"])
def test_api_paths(path: str) -> None:
    assert is_api_path(path)


@pytest.mark.parametrize("path", ["/", "/admin/", "/v10", "/healthy", "/speakersx", "/static/v1/x"])
def test_other_paths(path: str) -> None:
    assert not is_api_path(path)


def test_pages_and_api_share_a_port(client_http: httpx.Client) -> None:
    assert client_http.get("/").headers["location"] == "/admin/"
    assert client_http.get("/admin/login/").status_code == 200
    assert refusal(client_http.get("/v1/nothing"), 404)


def test_a_clients_path_headers_move_nothing(client_http: httpx.Client) -> None:
    for name in ("Daphne-Root-Path", "Script-Name", "X-Script-Name", "X-Forwarded-Prefix"):
        assert client_http.get("/", headers={name: "/evil"}).headers["location"] == "/admin/"
        assert client_http.get("/health", headers={name: "/health"}).status_code == 200


def test_an_unknown_page_is_told_in_the_language_of_who_asks(client_http: httpx.Client) -> None:
    assert client_http.get("/nothing").status_code == 404


def test_the_address_that_was_called_is_an_allowed_host(server: str, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    with httpx.Client(base_url=server, timeout=60, trust_env=False) as client:
        assert client.get("/v1/models").status_code == 200, "127.0.0.1 is where the connection came to"
        assert client.get("/admin/login/").status_code == 200
        assert client.get("/v1/models", headers={"Host": "127.0.0.2"}).status_code == 400
        assert client.get("/admin/login/", headers={"Host": "192.0.2.1"}).status_code == 400


def test_a_page_takes_no_endless_body(client_http: httpx.Client) -> None:
    chunks = (b"x" * 1_000_000 for _ in range(40))
    try:
        status = client_http.post("/admin/login/", content=chunks).status_code
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return  # the server closed while we still sent
    assert status == 413
