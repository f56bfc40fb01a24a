"""Who may speak: open or keys, what a key may use, how often, and what foreign pages get."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.db.models import ProtectedError
from django.utils import timezone

from api import throttling
from api.models import Access, ApiKey, ServerSettings, hash_key
from api.throttling import SWEEP_SECONDS, WINDOW_SECONDS, SlidingWindows, address_group
from banks.models import Bank
from providers.models import Provider
from tests.conftest import add_character
from tests.test_api_errors import change_settings, refusal, say


@pytest.fixture
def key(bank: Bank) -> ApiKey:
    made, secret = ApiKey.objects.issue(name="chat")
    made.secret = secret
    return made


def bearer(key: ApiKey) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret}"}


def status(client: httpx.Client, headers: dict[str, str] | None = None, path: str = "/v1/models") -> int:
    return client.get(path, headers=headers or {}).status_code


def bare_bearer(client: httpx.Client, other_key: str = "") -> int:
    """The status when the key's box was left empty, as SillyTavern sends it; httpx would refuse to."""
    connection = HTTPConnection(client.base_url.host, client.base_url.port, timeout=30)
    connection.putrequest("GET", "/v1/models")
    connection.putheader("Authorization", "Bearer ")
    if other_key:
        connection.putheader("X-API-Key", other_key)
    connection.endheaders()
    with closing(connection):
        return connection.getresponse().status


def test_a_fresh_installation_is_open(client_http: httpx.Client, bank: Bank) -> None:
    assert status(client_http) == 200
    assert status(client_http, {"Authorization": "Bearer sk-placeholder"}) == 200, "clients send placeholders"
    assert bare_bearer(client_http) == 200


def test_the_first_key_closes_the_api_and_losing_the_last_does_not_open_it(
    client_http: httpx.Client, key: ApiKey
) -> None:
    assert ServerSettings.load().access == Access.KEYS
    error = refusal(client_http.get("/v1/models"), 401)
    assert error["type"] == "authentication_error" and error["code"] == "not_authenticated"
    assert status(client_http, bearer(key)) == 200
    key.delete()
    assert status(client_http) == 401


def test_both_headers_carry_a_key(client_http: httpx.Client, key: ApiKey) -> None:
    secret = bearer(key)["Authorization"].split()[1]
    assert status(client_http, {"X-API-Key": secret}) == 200
    assert status(client_http, {"Authorization": f"bearer  {secret}"}) == 200
    assert status(client_http, {"Authorization": f"Basic {secret}"}) == 401
    assert bare_bearer(client_http) == 401
    assert bare_bearer(client_http, secret) == 200


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/audio/models", "/v1/audio/voices", "/speakers", "/v1/models/Stories"]
)
def test_every_path_but_health_needs_the_key(client_http: httpx.Client, key: ApiKey, path: str) -> None:
    assert status(client_http, path=path) == 401
    assert status(client_http, bearer(key), path) == 200
    assert status(client_http, path="/health") == 200


def test_wrong_expired_revoked_and_ownerless_keys(client_http: httpx.Client, key: ApiKey) -> None:
    wrong = client_http.get("/v1/models", headers={"Authorization": "Bearer nei-wrong"})
    assert refusal(wrong, 401)["code"] == "invalid_api_key"
    assert wrong.headers["WWW-Authenticate"].startswith("Bearer")
    key.expires_at = timezone.now() - timedelta(seconds=1)
    key.save()
    assert refusal(client_http.get("/v1/models", headers=bearer(key)), 401)["code"] == "expired_api_key"
    key.expires_at = timezone.now() + timedelta(hours=1)
    key.save()
    assert status(client_http, bearer(key)) == 200
    key.revoke()
    assert refusal(client_http.get("/v1/models", headers=bearer(key)), 401)["code"] == "revoked_api_key"


def test_a_revoked_key_is_refused_also_while_access_is_open(client_http: httpx.Client, key: ApiKey) -> None:
    change_settings(access=Access.OPEN)
    key.revoke()
    assert status(client_http, bearer(key)) == 401
    assert status(client_http) == 200


def test_a_deactivated_owners_keys_stop(client_http: httpx.Client, key: ApiKey) -> None:
    owner = get_user_model().objects.create_user("ada", password="x")
    key.owner = owner
    key.save()
    assert status(client_http, bearer(key)) == 200
    owner.is_active = False
    owner.save()
    assert refusal(client_http.get("/v1/models", headers=bearer(key)), 401)["code"] == "inactive_api_key"


def test_keys_are_stored_as_hashes_only(key: ApiKey) -> None:
    secret = bearer(key)["Authorization"].split()[1]
    row = ApiKey.objects.values().get(pk=key.pk)
    assert row["digest"] == hash_key(secret)
    assert all(secret not in str(value) for value in row.values())
    assert len(secret) > 40 and secret.endswith(row["hint"])


def test_a_key_with_banks_sees_and_speaks_with_these_only(
    client_http: httpx.Client, key: ApiKey, bank: Bank, embedded: Provider
) -> None:
    games = Bank.objects.create(name="Games", position=0)
    add_character(games, embedded, "Goblin")
    key.banks.add(bank)
    headers = bearer(key)
    assert [model["id"] for model in client_http.get("/v1/models", headers=headers).json()["data"]] == ["Stories"]
    assert status(client_http, headers, "/v1/models/Games") == 404
    body = {"input": "Hello.", "voice": "Goblin", "model": "Games"}
    error = refusal(client_http.post("/v1/audio/speech", json=body, headers=headers), 404)
    assert "Games" not in error["message"], "a hint names only what the caller may use"
    spoken = client_http.post("/v1/audio/speech", json=body | {"voice": "Heart"}, headers=headers)
    assert spoken.status_code == 200


def test_a_keys_last_bank_can_not_vanish_under_it(key: ApiKey, bank: Bank) -> None:
    key.banks.add(bank)
    with pytest.raises(ProtectedError):
        bank.delete()
    assert bank.remove(), "archived instead"


def test_public_lists_show_public_banks_only_and_speak_not(
    client_http: httpx.Client, key: ApiKey, bank: Bank, embedded: Provider
) -> None:
    Bank.objects.create(name="Lobby", position=7, public=True)
    change_settings(public_lists=True)
    for path in ("/v1/models", "/v1/audio/models", "/v1/audio/voices", "/speakers"):
        assert status(client_http, path=path) == 200
    assert [model["id"] for model in client_http.get("/v1/models").json()["data"]] == ["Lobby"]
    assert status(client_http, path="/v1/models/Stories") == 404
    assert say(client_http).status_code == 401
    assert client_http.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert len(client_http.get("/v1/models", headers=bearer(key)).json()["data"]) == 2


def test_the_address_limit_names_the_wait(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(rate_limit_per_minute=3)
    assert [status(client_http) for _ in range(3)] == [200, 200, 200]
    response = client_http.get("/v1/models")
    assert refusal(response, 429)["code"] == "rate_limit_exceeded"
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert response.headers["x-should-retry"] == "true"
    assert status(client_http, path="/health") == 200, "health is free"
    assert client_http.head("/health").status_code == 200
    change_settings(rate_limit_per_minute=0)
    assert {status(client_http) for _ in range(10)} == {200}


def test_a_keys_own_limit_holds_in_place_of_the_addresses(client_http: httpx.Client, key: ApiKey) -> None:
    change_settings(rate_limit_per_minute=1)
    key.rate_limit_per_minute = 2
    key.save()
    assert [status(client_http, bearer(key)) for _ in range(3)] == [200, 200, 429]
    key.rate_limit_per_minute = 0
    key.save()
    assert {status(client_http, bearer(key)) for _ in range(5)} == {200}


def test_forwarded_addresses_count_from_trusted_proxies_only(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(rate_limit_per_minute=1)
    assert status(client_http, {"X-Forwarded-For": "203.0.113.1"}) == 200
    assert status(client_http, {"X-Forwarded-For": "203.0.113.2"}) == 429


def test_addresses_of_one_household_count_as_one() -> None:
    assert address_group("2001:db8:1:2:aaaa::1") == address_group("2001:db8:1:2:bbbb::9")
    assert address_group("2001:db8:1:3::1") != address_group("2001:db8:1:2::1")
    assert address_group("::ffff:192.0.2.7") == address_group("192.0.2.7")
    assert address_group("192.0.2.7") != address_group("192.0.2.8")
    assert address_group("") == ""


def test_windows_slide() -> None:
    windows = SlidingWindows()
    assert [windows.wait("a", 2, now) for now in (0.0, 30.0)] == [0.0, 0.0]
    assert windows.wait("a", 2, 40.0) == pytest.approx(20.0)
    assert windows.wait("b", 2, 40.0) == 0.0
    assert windows.wait("a", 2, WINDOW_SECONDS + 0.1) == 0.0
    assert windows.wait("a", 2, WINDOW_SECONDS + 0.2) == pytest.approx(29.8)


class TestTheSweepOfWindows:
    """What callers leave behind in memory. The bounds are lowered, so that few callers reach them."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(throttling, "MAX_CALLERS", 100)

    def test_silent_callers_are_forgotten_and_others_are_not(self) -> None:
        windows = SlidingWindows()
        for number in range(99):
            windows.wait(f"silent {number}", 1, 0.0)
        windows.wait("busy", 1, 30.0)
        assert windows.wait("new", 1, WINDOW_SECONDS + 0.1) == 0.0
        assert windows._times.keys() == {"busy", "new"}
        assert windows.wait("busy", 1, WINDOW_SECONDS + 0.1) == pytest.approx(29.9)

    def test_a_known_caller_sweeps_nobody(self) -> None:
        windows = SlidingWindows()
        for number in range(150):
            windows.wait(str(number), 1, 0.0)
        windows.wait("0", 1, WINDOW_SECONDS + 0.1)
        assert len(windows._times) == 150

    def test_a_crowd_is_swept_now_and_then_only(self) -> None:
        """Each sweep looks at everybody: at every request it would be the load itself."""
        windows = SlidingWindows()
        for number in range(100):
            windows.wait(f"first {number}", 1, 0.0)
        windows.wait("a sweep that finds nobody silent", 1, WINDOW_SECONDS - 1)
        windows.wait("too soon", 1, WINDOW_SECONDS + 1)
        assert len(windows._times) == 102
        windows.wait("in time", 1, WINDOW_SECONDS + SWEEP_SECONDS)
        assert len(windows._times) == 3

    def test_callers_that_are_never_silent_have_a_bound_too(self) -> None:
        windows = SlidingWindows()
        for number in range(1500):
            assert windows.wait(str(number), 1, number / 1000) == 0.0
        assert len(windows._times) == 1000
        assert next(iter(windows._times)) == "500", "the longest known ones made room"
        assert windows.wait("1499", 1, 1.5) > 0

    def test_a_callers_own_requests_have_a_bound(self) -> None:
        windows = SlidingWindows()
        for number in range(1000):
            windows.wait("busy", 5, number / 10)
        assert len(windows._times["busy"]) <= 5


PAGE = "https://chat.example.com"


def preflight(client: httpx.Client, origin: str = PAGE, path: str = "/v1/audio/speech") -> httpx.Response:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-stainless-os"}
    return client.options(path, headers={"Origin": origin} | asked)


def test_no_origin_is_allowed_by_default(client_http: httpx.Client, bank: Bank) -> None:
    assert "access-control-allow-origin" not in preflight(client_http).headers
    assert "access-control-allow-origin" not in client_http.get("/speakers", headers={"Origin": PAGE}).headers


def test_a_listed_origin_is_allowed_with_the_headers_it_asks_for(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(cors_origins=f"{PAGE}\nhttp://localhost:3000")
    answer = preflight(client_http)
    assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in preflight(client_http, "https://evil.example").headers
    assert "access-control-allow-origin" not in preflight(client_http, f"{PAGE}.evil.example").headers
    assert "access-control-allow-origin" not in preflight(client_http, "null").headers


def test_a_star_allows_any_origin(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(cors_origins="*")
    assert preflight(client_http, "https://anything.example").headers["access-control-allow-origin"] == "*"
    assert client_http.get("/speakers", headers={"Origin": "null"}).headers["access-control-allow-origin"] == "*"


def test_errors_carry_cors_headers_too(client_http: httpx.Client, key: ApiKey) -> None:
    change_settings(cors_origins=PAGE, max_body_bytes=100)
    for response, expected in (
        (client_http.get("/v1/models", headers={"Origin": PAGE}), 401),
        (client_http.get("/v1/nothing", headers={"Origin": PAGE}), 404),
        (client_http.get("/v1/audio/speech", headers={"Origin": PAGE} | bearer(key)), 405),
        (client_http.post("/v1/audio/speech", content=b"x" * 200, headers={"Origin": PAGE}), 413),
    ):
        assert response.status_code == expected
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in response.headers["access-control-expose-headers"]
    assert preflight(client_http).status_code == 200, "a preflight carries no key"
