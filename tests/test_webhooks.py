"""Webhooks of jobs, received by real servers: signed, repeated, and sent nowhere that they may not be."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from api.jobs import webhooks
from api.jobs.models import Job, WebhookState
from api.jobs.serializers import webhook_refusal
from api.jobs.webhooks import Letter, Outcome, Webhooks, _due, _letter, _note, signature
from api.models import ApiKey
from providers.egress import AddressRefused, check_address, check_host
from tests.jobs import JOBS, SOUND, Caller, house, stored
from tests.server_process import manage, running_server
from tests.studio import somebody
from tests.test_api_errors import refusal
from tests.test_api_streams import eventually
from tests.test_docs import API, blocks
from tests.test_egress import FakeResolver
from tests.test_jobs import PREPARE
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, closed_port, serve

House = tuple[Caller, OpenAIUpstream]


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """As docs/api.md tells a receiver to look."""
        (example,) = blocks(API, "python")
        known: dict[str, Any] = {}
        exec(example.text, known)
        return bool(known["is_genuine"](secret, self.headers["x-neiroha-signature"], self.body))


class Receiver:
    """Answers with the next of `statuses`, then with 200."""

    def __init__(self, *statuses: int, location: str = "") -> None:
        self.statuses, self.location = list(statuses), location
        self.received: list[Received] = []
        self.silent = False
        self._changed = threading.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        with self._changed:
            status = self.statuses.pop(0) if self.statuses else 200
            self.received.append(Received(scope["path"], headers, body))
            self._changed.notify_all()
        if self.silent:
            await receive()
            return
        answer = [(b"location", self.location.encode())] if self.location else []
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": b"ignored" * 10_000})

    def wait_for(self, count: int) -> list[Received]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, WAIT_SECONDS), self.received
        return self.received


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BACKOFF_SECONDS", (0.01,) * 5)


@pytest.fixture
def private(settings: Settings) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = True


@pytest.fixture
def place(server: str) -> Iterator[House]:
    with house(server) as made:
        yield made


def settled(job: dict[str, Any]) -> Job:
    """Its row, once its webhook is over."""
    over = (WebhookState.DELIVERED, WebhookState.FAILED)
    eventually(lambda: stored(job).webhook_state in over)
    return stored(job)


# Sending.


@pytest.mark.usefixtures("private")
def test_the_end_is_told_once_and_signed(place: House) -> None:
    caller, _ = place
    receiver = Receiver()
    with serve(receiver) as url:
        job = caller.several("One.", "Two.", webhook_url=f"{url}/hook?a=b", metadata={"chapter": "1"})
        assert job["webhook"] == {"url": f"{url}/hook?a=b", "state": "waiting", "attempts": 0, "error": None}
        secret = job["webhook_secret"]
        assert secret.startswith("whsec_")
        (received,) = receiver.wait_for(1)
        settled(job)
    now = caller.now(job)
    assert now["webhook"] == {"url": f"{url}/hook?a=b", "state": "delivered", "attempts": 1, "error": None}
    assert "webhook_secret" not in now, "it is shown when the job is made"
    told = received.json()
    shared = ("id", "object", "status", "created_at", "ended_at", "counts", "metadata", "audio_url", "events_url")
    assert told == {"type": "job.ended", **{name: now[name] for name in shared}}
    assert told["status"] == "completed" and received.path == "/hook"
    assert received.headers["content-type"] == "application/json" and "authorization" not in received.headers
    assert received.is_signed_with(secret) and not received.is_signed_with("whsec_other")
    assert len(receiver.received) == 1


def test_a_job_without_a_webhook_has_no_secret(place: House) -> None:
    caller, _ = place
    for body in ({}, {"webhook_url": ""}, {"webhook_url": None}):
        job = caller.made(input="One.", **body)
        assert job["webhook"] is None and "webhook_secret" not in job


def test_the_secret_lies_encrypted_in_the_database(place: House) -> None:
    caller, _ = place
    secret = caller.made(input="One.", webhook_url="https://example.com/")["webhook_secret"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT webhook_secret FROM api_job")
        (held,) = cursor.fetchone()
    assert held and secret not in held and Job.objects.get().webhook_secret == secret


@pytest.mark.usefixtures("private")
def test_who_fails_twice_is_asked_a_third_time(place: House) -> None:
    caller, _ = place
    receiver = Receiver(500, 404)
    with serve(receiver) as url:
        job = caller.made(input="One.", webhook_url=url)
        first, _second, third = receiver.wait_for(3)
        row = settled(job)
    assert (row.webhook_state, row.webhook_attempts, row.webhook_error) == ("delivered", 3, "")
    assert first.body == third.body and all(one.is_signed_with(job["webhook_secret"]) for one in (first, third))


@pytest.mark.usefixtures("private")
def test_after_five_more_attempts_it_is_given_up(place: House) -> None:
    caller, _ = place
    receiver = Receiver(*[503] * 9)
    with serve(receiver) as url:
        job = caller.made(input="One.", webhook_url=url)
        row = settled(job)
    assert (row.webhook_state, row.webhook_attempts) == ("failed", 6) and len(receiver.received) == 6
    assert caller.now(job)["webhook"]["error"] == "The webhook answered with status 503."


@pytest.mark.usefixtures("private")
def test_a_redirect_is_not_followed(place: House) -> None:
    caller, _ = place
    elsewhere = Receiver()
    with serve(elsewhere) as target, serve(Receiver(*[307] * 9, location=target)) as url:
        row = settled(caller.made(input="One.", webhook_url=url))
    assert row.webhook_state == "failed" and "307" in row.webhook_error and elsewhere.received == []


@pytest.mark.usefixtures("private")
def test_a_closed_port_and_a_silent_receiver_are_failures(place: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(webhooks, "BACKOFF_SECONDS", (0.01,))
    caller, _ = place
    with closed_port() as port:
        row = settled(caller.made(input="One.", webhook_url=f"http://127.0.0.1:{port}/"))
    assert row.webhook_state == "failed" and "nothing accepts connections" in row.webhook_error
    silent = Receiver()
    silent.silent = True
    with serve(silent) as url:
        row = settled(caller.made(input="One.", webhook_url=url))
    assert row.webhook_state == "failed" and "did not answer in time" in row.webhook_error


@pytest.mark.usefixtures("private")
def test_every_kind_of_end_is_told(server: str) -> None:
    receiver = Receiver()
    with serve(receiver) as url, house(server, held=True) as (caller, upstream):
        job = caller.several("One.", "Two.", "Three.", webhook_url=url)
        caller.cancel(job)
        settled(job)
        assert [one.json()["status"] for one in receiver.received] == ["cancelled"]
        upstream.switches.held = False
        upstream.switches.refusals = [Refusal(400, "No.")]
        caller.retry(job)
        receiver.wait_for(2)
        settled(job)
        assert receiver.received[1].json()["status"] == "partially_failed", "another end is told anew"


# Where to.

PRIVATE = [
    *("http://127.0.0.1/", "http://localhost:80/", "http://a.localhost/", "http://[::1]/", "http://127.1/"),
    *("http://2130706433/", "http://0x7f.0.0.1/", "http://10.0.0.1/", "http://172.16.0.1/", "https://192.168.1.1/"),
    *("http://169.254.169.254/latest", "http://100.64.0.1/", "http://[fd00::1]/", "http://[fe80::1]/"),
    *("http://[::ffff:127.0.0.1]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::7f00:1]/"),
    "http://[2002:7f00:1::]/",
    *("http://0.0.0.0/", "http://224.0.0.1/", "http://192.0.2.1/", "http://198.18.0.1/", "http://[fec0::1]/"),
    *("http://metadata.google.internal/", "http://%31%32%37.0.0.1/", "http://127.0.0.1./"),
]
NO_ADDRESS = [
    *("ftp://example.com/", "example.com", "//example.com/", "http://", "http:///path", "javascript:alert(1)"),
    *("http://user@example.com/", "http://user:pass@example.com/", "http://:pass@example.com/", "http://@example.com/"),
    *("http://example.com:99999/", "http://exa mple.com/", "http://exämple.com/", "http://[::1"),
    *("http://exam\nple.com/", "http://example.com/\t/", "http://example.com/" + "x" * 2000),
]


@pytest.mark.parametrize("url", PRIVATE)
def test_addresses_that_are_not_everybodys_are_refused_when_the_job_is_made(place: House, url: str) -> None:
    caller, _ = place
    error = refusal(caller.ask(input="One.", webhook_url=url), 400)
    assert error["param"] == "webhook_url" and "leads to" in error["message"]
    assert not Job.objects.exists()


@pytest.mark.parametrize("url", [7, [], *NO_ADDRESS])
def test_what_is_no_address_is_refused(place: House, url: Any) -> None:
    caller, _ = place
    assert refusal(caller.ask(input="One.", webhook_url=url), 400)["param"] == "webhook_url"
    assert not Job.objects.exists()


def test_public_addresses_pass() -> None:
    for url in ("https://example.com/hook?a=b#c", "http://8.8.8.8:8080/", "https://[2606:4700::1111]/", "http://hook"):
        assert webhook_refusal(url) == ""


def test_with_leave_private_addresses_pass_but_never_those_of_metadata(settings: Settings) -> None:
    settings.ALLOW_PRIVATE_WEBHOOKS = True
    for url in ("http://127.0.0.1:1/", "http://192.168.1.1/", "http://localhost/", "http://[fd00::1]/"):
        assert webhook_refusal(url) == ""
    for url in ("http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/"):
        assert "leads to" in webhook_refusal(url)


def sent(url: str, resolver: FakeResolver | None) -> Outcome:
    """How one attempt ends, with names resolved as the resolver has them."""

    async def run() -> Outcome:
        sender = Webhooks(resolver)
        try:
            return await sender._post(Letter(1, url, "whsec_x", b"{}", 0, None))
        finally:
            for client in sender._clients.values():
                await client.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["10.0.0.1", "192.168.1.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["fd00::1"]],
    ids=str,
)
def test_a_name_is_judged_by_where_it_leads(addresses: list[str]) -> None:
    receiver, resolver = Receiver(), FakeResolver(hook_example=[addresses])
    with serve(receiver) as url:
        outcome = sent(url.replace("127.0.0.1", "hook.example"), resolver)
    assert outcome.final and "leads to" in outcome.error and receiver.received == []
    assert resolver.asked == ["hook.example"]


def test_a_name_that_changes_where_it_leads_is_asked_once_for_each_attempt() -> None:
    """What was checked is what is called: nothing asks the name a second time between the two."""
    receiver, resolver = Receiver(), FakeResolver(hook_example=[["10.0.0.1"], ["127.0.0.1"]])
    with serve(receiver) as url:
        for attempt in (1, 2):
            outcome = sent(url.replace("127.0.0.1", "hook.example"), resolver)
            assert outcome.final and receiver.received == [] and len(resolver.asked) == attempt


def test_digits_never_meet_the_resolver_and_are_checked_all_the_same() -> None:
    receiver = Receiver()
    with serve(receiver) as url:
        for host in ("127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"):
            outcome = sent(url.replace("127.0.0.1", host), None)
            assert outcome.error and receiver.received == [], host


@pytest.mark.usefixtures("private")
def test_with_leave_they_are_called() -> None:
    receiver = Receiver()
    with serve(receiver) as url:
        assert sent(url, None) == Outcome()
        named = sent(url.replace("127.0.0.1", "hook.example"), FakeResolver(hook_example=[["127.0.0.1"]]))
        assert named == Outcome() and len(receiver.received) == 2


def test_no_proxy_is_asked_to_reach_what_may_not_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Receiver()
    with serve(proxy) as url:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, url)
        outcome = sent("http://hook.example/", FakeResolver(hook_example=[["10.0.0.1"]]))
    assert outcome.final and proxy.received == []


PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
NOT_PUBLIC = [
    *("127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fd12::1", "fec0::1", "198.18.0.1"),
    *("192.0.2.1", "2001:db8::1", "::ffff:192.168.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::", "64:ff9b:1::1"),
]


def test_the_rule_of_public_addresses() -> None:
    for address in PUBLIC:
        check_address(address, public=True)
        check_host(address, public=True)
    for address in NOT_PUBLIC:
        for check in (check_address, check_host):
            with pytest.raises(AddressRefused):
                check(address, public=True)


# The record.


def test_the_signature_is_what_the_documentation_says() -> None:
    made = signature("whsec_abc", b'{"id":"job_1"}', 1_795_635_232)
    expected = hmac.new(b"whsec_abc", b'1795635232.{"id":"job_1"}', hashlib.sha256).hexdigest()
    assert made == f"t=1795635232,v1={expected}"


@pytest.fixture
def job(transactional_db: None) -> Job:
    key, _ = ApiKey.objects.issue(name="robot")
    values = {"webhook_url": "https://example.com/", "webhook_secret": "whsec_x", "webhook_state": "waiting"}
    return Job.objects.create(owner=somebody("ann"), key=key, **values)


def test_each_attempt_waits_longer_for_ten_minutes(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    due: list[float] = []
    while True:
        assert _due([], 9)[0] == [job.pk]
        letter = _letter(job.pk)
        assert letter is not None and letter.attempts == len(due)
        before = timezone.now()
        _note(letter, Outcome("no"))
        job.refresh_from_db()
        if job.webhook_state == WebhookState.FAILED:
            break
        assert job.webhook_due and _due([], 9)[0] == []
        due.append((job.webhook_due - before).total_seconds())
        Job.objects.update(webhook_due=timezone.now() - timedelta(seconds=1))
    assert [round(seconds) for seconds in due] == [5, 25, 90, 180, 300] and sum(due) == pytest.approx(600, abs=5)
    assert _due([], 9)[0] == [] and job.webhook_attempts == 6


def test_an_outcome_that_comes_after_another_try_of_the_job_changes_nothing(job: Job) -> None:
    assert _due([], 9)[0] == [job.pk]
    letter = _letter(job.pk)
    assert letter is not None
    Job.objects.update(webhook_state=WebhookState.WAITING, webhook_due=None)
    _note(letter, Outcome())
    job.refresh_from_db()
    assert (job.webhook_state, job.webhook_attempts) == (WebhookState.WAITING, 0)
    assert _due([], 9)[0] == [job.pk], "by now that try has ended, too"
    _note(letter, Outcome())
    job.refresh_from_db()
    assert (job.webhook_state, job.webhook_attempts) == (WebhookState.SENDING, 0)


def test_what_is_being_sent_is_not_begun_again(job: Job) -> None:
    assert _due([job.pk], 9)[0] == [] and _due([], 0)[0] == []
    assert _due([], 9)[0] == [job.pk]


def test_of_several_servers_one_sends_it(job: Job, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert _due([], 9)[0] == [job.pk] and _due([], 9)[0] == []
    letter = _letter(job.pk)
    assert letter is not None and letter.due is not None and letter.due > timezone.now()
    # The server that was to send it dies here.
    Job.objects.update(webhook_due=timezone.now() - timedelta(seconds=1))
    assert _due([], 9)[0] == [job.pk]
    letter = _letter(job.pk)
    assert letter is not None
    _note(letter, Outcome())
    job.refresh_from_db()
    assert job.webhook_state == WebhookState.DELIVERED


def test_a_secret_that_can_not_be_read_ends_it(job: Job, settings: Settings) -> None:
    _due([], 9)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert _letter(job.pk) is None
    row = Job.objects.defer("webhook_secret").get()
    assert row.webhook_state == "failed" and "NEIROHA_FIELD_KEYS" in row.webhook_error


def test_a_killed_servers_webhook_is_sent_by_the_next(tmp_path: Path) -> None:
    receiver, upstream = Receiver(*[500] * 1), OpenAIUpstream(speech=SOUND, speech_type="audio/wav")
    allowed = {"NEIROHA_ALLOW_PRIVATE_WEBHOOKS": "true"}
    with serve(receiver) as hook, serve(upstream) as url:
        manage(tmp_path, "migrate")
        shell = partial(manage, tmp_path, "shell", "--no-imports", "-c")
        secret = shell(PREPARE % url).stdout.split()[-1]
        headers = {"Authorization": f"Bearer {secret}"}
        body = {"input": "One.", "voice": "Alloy", "webhook_url": hook}
        with running_server(tmp_path, variables=allowed) as server:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60, headers=headers) as http:
                job = http.post(JOBS, json=body).json()
                receiver.wait_for(1)
                eventually(lambda: http.get(f"{JOBS}/{job['id']}").json()["webhook"]["attempts"] == 1)
            server.kill()
        assert len(receiver.received) == 1
        with running_server(tmp_path, variables=allowed):
            first, second = receiver.wait_for(2)
    assert first.body == second.body and second.is_signed_with(job["webhook_secret"])
