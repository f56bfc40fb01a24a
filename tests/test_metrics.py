"""/metrics on a running server: who may read it, and that its figures are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics

from api.models import Access, ApiKey, Scope, ServerSettings
from api.monitoring.requests import NATIVE, endpoint_of
from api.native.urls import router
from api.native.urls import urlpatterns as native_urls
from api.urls import urlpatterns
from banks.models import Bank
from providers.models import Provider
from tests.conftest import add_character
from tests.figures import Figures, Prometheus
from tests.native_api import make_user
from tests.sounds import tone, wav_file
from tests.studio import browser_of, claimed, done, queued, somebody
from tests.test_api_errors import change_settings, refusal, say
from tests.test_api_streams import snapshot
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, serve

SPEECH = "/v1/audio/speech"
SECONDS = 2.0
SOUND = wav_file(tone(24_000, SECONDS), 24_000)


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    """A provider “Remote” with one place and its character “Alloy”: each test has its own figures by its own name."""
    app = OpenAIUpstream(speech=SOUND, speech_type="audio/wav", chunked=False)
    with serve(app) as url:
        provider = Provider.objects.create(name="Remote", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app


@pytest.fixture
def prometheus(client_http: httpx.Client) -> Prometheus:
    change_settings(rate_limit_per_minute=0)
    return Prometheus(client_http)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


class TestWhoMayRead:
    def test_nobody_by_default(self, client_http: httpx.Client) -> None:
        assert ServerSettings.load().access == Access.OPEN
        response = client_http.get("/metrics")
        assert refusal(response, 401)["code"] == "not_authenticated"
        assert response.headers["www-authenticate"].startswith("Bearer")
        wrong = client_http.get("/metrics", headers=bearer("nei-guessed"))
        assert refusal(wrong, 401)["code"] == "invalid_api_key"
        assert "neiroha_" not in response.text + wrong.text

    @pytest.mark.parametrize("scope", [Scope.SPEECH, Scope.READ, Scope.MANAGE])
    def test_no_key_of_another_scope(self, client_http: httpx.Client, scope: Scope) -> None:
        _, secret = ApiKey.objects.issue(name="Chat", owner_id=make_user(superuser=True).pk, scope=scope)
        assert refusal(client_http.get("/metrics", headers=bearer(secret)), 403)["code"] == "permission_denied"

    def test_a_key_of_an_administrators_or_of_nobodys(self, client_http: httpx.Client) -> None:
        for owner, status in ((None, 200), (make_user(superuser=True), 200), (make_user("api.add_apikey"), 403)):
            _, secret = ApiKey.objects.issue(name="Eye", owner_id=owner.pk if owner else None, scope=Scope.METRICS)
            assert client_http.get("/metrics", headers=bearer(secret)).status_code == status
            assert client_http.get("/metrics", headers={"X-API-Key": secret}).status_code == status

    def test_no_key_that_has_ended(self, client_http: httpx.Client) -> None:
        key, secret = ApiKey.objects.issue(name="Eye", scope=Scope.METRICS)
        assert client_http.get("/metrics", headers=bearer(secret)).status_code == 200
        key.expires_at = timezone.now() - timedelta(seconds=1)
        key.save()
        assert refusal(client_http.get("/metrics", headers=bearer(secret)), 401)["code"] == "expired_api_key"
        key.expires_at = None
        key.revoke()
        assert refusal(client_http.get("/metrics", headers=bearer(secret)), 401)["code"] == "revoked_api_key"

    def test_the_session_of_an_administrator_and_no_other(self, server: str) -> None:
        with browser_of(somebody("root", superuser=True), server) as browser:
            assert Figures(browser.get("/metrics").text)("neiroha_database_up") == 1
        with browser_of(somebody("kim", "api.view_serversettings", "api.view_apikey"), server) as browser:
            assert refusal(browser.get("/metrics"), 403)["code"] == "permission_denied"
        with httpx.Client(base_url=server, trust_env=False, timeout=60, cookies={"sessionid": "a" * 32}) as stranger:
            refusal(stranger.get("/metrics"), 401)

    def test_an_administrator_who_was_deactivated_is_a_stranger(self, server: str) -> None:
        root = somebody("root", superuser=True)
        with browser_of(root, server) as browser:
            root.is_active = False
            root.save()
            refusal(browser.get("/metrics"), 401)

    def test_the_key_reaches_nothing_else(self, client_http: httpx.Client, bank: Bank) -> None:
        owner = make_user(superuser=True)
        _, secret = ApiKey.objects.issue(name="Eye", owner_id=owner.pk, scope=Scope.METRICS)
        assert ServerSettings.load().access == Access.OPEN, "it is no key for speaking, so it closes nothing"
        assert say(client_http).status_code == 200
        for path in ("/v1/models", "/v1/jobs", "/api/banks/", "/api/queue/"):
            assert refusal(client_http.get(path, headers=bearer(secret)), 403)["code"] == "permission_denied"
        assert client_http.post(SPEECH, json={"input": "Hi."}, headers=bearer(secret)).status_code == 403

    def test_the_first_key_that_speaks_still_closes_the_api(self, client_http: httpx.Client, bank: Bank) -> None:
        ApiKey.objects.issue(name="Eye", scope=Scope.METRICS)
        ApiKey.objects.issue(name="Chat")
        assert ServerSettings.load().access == Access.KEYS
        refusal(say(client_http), 401)

    def test_its_use_is_noted_without_rows_in_the_log(self, prometheus: Prometheus, server: str) -> None:
        change_settings(log_requests=True)
        prometheus.scrape()
        key = ApiKey.objects.get(name="Prometheus")
        prometheus.until(lambda _: ApiKey.objects.get(pk=key.pk).last_used_at is not None)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_it_is_only_read(self, client_http: httpx.Client, prometheus: Prometheus, method: str) -> None:
        response = client_http.request(method, "/metrics", headers=bearer(prometheus.secret))
        assert refusal(response, 405)["code"] == "method_not_allowed"

    def test_it_answers_under_any_name_and_stays_closed(
        self, client_http: httpx.Client, prometheus: Prometheus
    ) -> None:
        assert prometheus.response(host="web-2:8976").status_code == 200
        assert client_http.get("/metrics", headers={"host": "evil.example"}).status_code == 401


class TestFigures:
    def test_speech_is_counted(
        self, client_http: httpx.Client, prometheus: Prometheus, upstream: OpenAIUpstream
    ) -> None:
        before = prometheus.scrape()
        for text in ("Hello there.", "Hello, you there."):
            assert say(client_http, voice="Alloy", input=text, response_format="wav").status_code == 200
        asked = {"endpoint": SPEECH, "status": "200"}
        count = before("neiroha_http_requests_total", **asked) + 2
        after = prometheus.until(lambda now: now("neiroha_http_requests_total", **asked) == count)

        def grown(name: str, **labels: str) -> float:
            return after(name, **labels) - before(name, **labels)

        remote = {"provider": "Remote"}
        assert grown("neiroha_upstream_calls_total", outcome="ok", **remote) == 2
        assert grown("neiroha_characters_total", **remote) == len("Hello there.") + len("Hello, you there.")
        assert grown("neiroha_audio_seconds_total", **remote) == pytest.approx(2 * SECONDS)
        assert grown("neiroha_queue_wait_seconds_count", priority="interactive", **remote) == 2
        for name in ("upstream_seconds", "upstream_first_byte_seconds", "real_time_factor"):
            assert grown(f"neiroha_{name}_count", **remote) == 2, name
        spent, factor = grown("neiroha_upstream_seconds_sum", **remote), grown("neiroha_real_time_factor_sum", **remote)
        assert spent > 0 and factor == pytest.approx(spent / SECONDS, rel=0.5)
        assert grown("neiroha_http_request_seconds_count", endpoint=SPEECH) == 2
        assert after("neiroha_http_requests_in_progress") == 1, "the scrape itself"

    def test_conversion_is_counted(
        self, client_http: httpx.Client, prometheus: Prometheus, upstream: OpenAIUpstream
    ) -> None:
        before = prometheus.scrape()
        for stream in (True, False):
            assert say(client_http, voice="Alloy", response_format="flac", stream=stream).status_code == 200
        count = before("neiroha_transcode_seconds_count") + 2
        prometheus.until(lambda now: now("neiroha_transcode_seconds_count") == count)

    @pytest.mark.parametrize(
        ("status", "code"), [(400, "upstream_rejected"), (401, "upstream_unauthorized"), (402, "upstream_quota_spent")]
    )
    def test_errors_are_counted_by_their_code(
        self, client_http: httpx.Client, prometheus: Prometheus, upstream: OpenAIUpstream, status: int, code: str
    ) -> None:
        before = prometheus.scrape()
        upstream.switches.refusals = [Refusal(status, "No.")]
        answer = say(client_http, voice="Alloy")
        failed = {"endpoint": SPEECH, "status": str(answer.status_code)}
        count = before("neiroha_http_requests_total", **failed) + 1
        after = prometheus.until(lambda now: now("neiroha_http_requests_total", **failed) == count)
        outcome = {"provider": "Remote", "outcome": code}
        assert after("neiroha_upstream_calls_total", **outcome) == before("neiroha_upstream_calls_total", **outcome) + 1
        name = "neiroha_characters_total"
        assert after(name, provider="Remote") == before(name, provider="Remote")

    def test_the_queue_at_this_moment(
        self, client_http: httpx.Client, prometheus: Prometheus, upstream: OpenAIUpstream
    ) -> None:
        upstream.switches.held = True
        now = {"provider": "Remote", "priority": "interactive"}
        before = prometheus.scrape()
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(say, client_http, voice="Alloy", response_format="wav") for _ in range(3)]
            busy = prometheus.until(lambda found: found("neiroha_queue_waiting", **now) == 2)
            assert busy("neiroha_queue_running", **now) == 1
            assert busy("neiroha_http_requests_in_progress") == 4
            upstream.release(3)
            assert [answer.result(WAIT_SECONDS).status_code for answer in answers] == [200, 200, 200]
        idle = prometheus.until(lambda found: found("neiroha_queue_running", **now) == 0)
        assert idle("neiroha_queue_waiting", **now) == 0
        waits = idle("neiroha_queue_wait_seconds_sum", **now) - before("neiroha_queue_wait_seconds_sum", **now)
        assert waits > 0

    def test_who_leaves_and_who_is_refused(
        self, client_http: httpx.Client, prometheus: Prometheus, upstream: OpenAIUpstream
    ) -> None:
        upstream.switches.held = True
        change_settings(queue_limit=1)
        before = prometheus.scrape()
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(say, client_http, voice="Alloy", response_format="wav")
            upstream.wait_for(lambda app: app.current == 1)
            second = pool.submit(say, client_http, voice="Alloy", response_format="wav")
            prometheus.until(lambda now: now("neiroha_queue_waiting", provider="Remote") == 1)
            assert refusal(say(client_http, voice="Alloy"), 503)["code"] == "queue_full"
            running, waiting = (snapshot().running[0], snapshot().waiting[0].ticket)
            for ticket in (waiting, running):
                with browser_of(somebody(f"root{ticket.id}", superuser=True), str(client_http.base_url)) as browser:
                    token = browser.get("/studio/").text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
                    headers = {"X-CSRFToken": token, "Referer": str(browser.base_url)}
                    assert browser.delete(f"/api/queue/{ticket.id}/", headers=headers).status_code == 204
            assert {first.result(WAIT_SECONDS).status_code, second.result(WAIT_SECONDS).status_code} == {503}
        upstream.release(2)
        after = prometheus.until(lambda now: now("neiroha_queue_running", provider="Remote") == 0)
        for code in ("queue_full", "cancelled"):
            refused = {"provider": "Remote", "code": code}
            grown = after("neiroha_queue_refusals_total", **refused) - before("neiroha_queue_refusals_total", **refused)
            assert grown == 1, code
        left = {"provider": "Remote", "outcome": "left"}
        assert after("neiroha_upstream_calls_total", **left) == before("neiroha_upstream_calls_total", **left) + 1

    def test_the_progress_of_batches(self, prometheus: Prometheus, bank: Bank) -> None:
        owner, heart = somebody("kim"), bank.default_character
        assert heart is not None
        for _ in range(3):
            queued(owner, heart, priority=1)
        done(owner, heart, priority=1)
        claimed(owner, heart, priority=0)
        found = prometheus.scrape()
        assert found("neiroha_takes", state="queued", priority="batch") == 3
        assert found("neiroha_takes", state="done", priority="batch") == 1
        assert found("neiroha_takes", state="running", priority="interactive") == 1
        assert found("neiroha_takes", state="failed") == found("neiroha_takes", state="cancelled") == 0

    def test_the_process_itself(self, prometheus: Prometheus) -> None:
        found = prometheus.until(lambda now: now("neiroha_event_loop_lag_seconds_count") > 0)
        assert found("process_resident_memory_bytes") > 1e7
        assert found("process_open_fds") > 3 and found("neiroha_threads") > 1
        assert found("neiroha_process_info") == 1
        assert found.labels("process") == {"web"}
        assert all(("process", "web") in labels for _, labels in found.samples)


class TestForm:
    def test_openmetrics_for_who_asks_for_it(self, prometheus: Prometheus) -> None:
        plain = prometheus.response(Accept="text/plain;version=abc, */*;q=0.1")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert plain.headers["cache-control"] == "no-store"
        asked = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=x;q=0.75"
        modern = prometheus.response(Accept=asked)
        assert modern.headers["content-type"].startswith("application/openmetrics-text")
        names = {family.name for family in open_metrics(modern.text)}  # type: ignore[no-untyped-call]
        assert {"neiroha_http_requests", "neiroha_queue_wait_seconds", "neiroha_process"} <= names

    def test_nobody_can_make_figures_of_their_own(
        self, client_http: httpx.Client, prometheus: Prometheus, bank: Bank
    ) -> None:
        private = "VeryPrivate"
        for path in (f"/{private}", f"/api/{private}/", f"/v1/models/{private}", f"/v1/jobs/{private}/{private}"):
            client_http.get(path)
        client_http.request(private.upper(), "/v1/models")
        say(client_http, voice=private, model=private)
        say(client_http, input=f"{private} speaks.", user=private)
        text = prometheus.scrape().text
        assert private.lower() not in text.lower()
        assert "Heart" not in text and "Stories" not in text

    @pytest.mark.parametrize("pattern", [one for one in urlpatterns if one.name], ids=lambda one: one.name)
    def test_every_route_of_the_api_has_a_name(self, pattern: object) -> None:
        route = "/" + str(pattern.pattern).strip("^$").replace("/?", "")  # type: ignore[attr-defined]
        named = endpoint_of(re.sub(r"\(\?P<[^)]*\)", "some", route))
        assert named == endpoint_of(re.sub(r"\(\?P<[^)]*\)", "some", route) + "/")
        assert named == re.sub(r"\(\?P<[^)]*\)", "{id}", route)

    def test_every_part_of_the_native_api_has_a_name(self) -> None:
        patterns = [str(one.pattern) for one in native_urls if getattr(one, "name", None)]
        assert {pattern.strip("^").split("/")[0] for pattern in patterns} - {""} <= NATIVE
        assert {prefix for prefix, _, _ in router.registry} <= NATIVE

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/", "/"),
            ("/admin/login/", "/admin/"),
            ("/studio/projects/7/", "/studio/"),
            ("/static/x/y.css", "/static/"),
            ("/api/banks/7/", "/api/banks/"),
            ("/api/what/", "/api/"),
            ("/api", "other"),
            ("/adminer", "other"),
            ("//v1/models", "other"),
            ("/v1/models/a/b", "/v1/models/{id}"),
            ("/v1/jobs/a/audio", "/v1/jobs/{id}/audio"),
            ("/v1/jobs/a/b", "other"),
            ("/v1/" + "x" * 5000, "other"),
        ],
    )
    def test_paths(self, path: str, name: str) -> None:
        assert endpoint_of(path) == name
