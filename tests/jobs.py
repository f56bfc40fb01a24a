"""What the tests of jobs share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
from django.contrib.auth.models import User

from api.jobs.models import Job
from api.models import ApiKey
from banks.models import Bank
from providers.models import Provider
from tests.conftest import add_character
from tests.native_api import without_limits
from tests.sounds import tone, wav_file
from tests.studio import somebody
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import serve

JOBS = "/v1/jobs"
SOUND = wav_file(tone(24_000, 0.2), 24_000)
OPEN = ("queued", "in_progress")


class Caller:
    """A program with a key of its own."""

    def __init__(self, address: str, owner: User | None, name: str = "robot") -> None:
        self.key, self.secret = ApiKey.objects.issue(name=name, owner_id=owner.pk if owner else None)
        self.owner = owner
        headers = {"Authorization": f"Bearer {self.secret}"}
        self.http = httpx.Client(base_url=address, timeout=60, trust_env=False, headers=headers)

    def ask(self, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return self.http.post(JOBS, json={"voice": "Alloy", "response_format": "wav"} | body, headers=headers)

    def made(self, **body: Any) -> dict[str, Any]:
        """The job as it was answered."""
        response = self.ask(**body)
        assert response.status_code == 201, response.text
        return told(response)

    def several(self, *inputs: str, **body: Any) -> dict[str, Any]:
        return self.made(inputs=[{"input": text} for text in inputs], **body)

    def get(self, job: dict[str, Any], path: str = "", **values: Any) -> httpx.Response:
        return self.http.get(f"{JOBS}/{job['id']}{path}", **values)

    def now(self, job: dict[str, Any]) -> dict[str, Any]:
        response = self.get(job)
        assert response.status_code == 200, response.text
        return told(response)

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job once nothing is done for it any more."""
        eventually(lambda: self.now(job)["status"] not in OPEN)
        return self.now(job)

    def retry(self, job: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"{JOBS}/{job['id']}/retry")

    def cancel(self, job: dict[str, Any]) -> httpx.Response:
        return self.http.delete(f"{JOBS}/{job['id']}")


def told(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = response.json()
    return found


def statuses(job: dict[str, Any]) -> list[str]:
    return [item["status"] for item in job["items"]]


def stored(job: dict[str, Any]) -> Job:
    return Job.objects.get(public_id=job["id"])


class Event(NamedTuple):
    name: str
    data: dict[str, Any]


@contextmanager
def events(caller: Caller, job: dict[str, Any], **headers: str) -> Iterator[Iterator[Event]]:
    """What a real listener hears, as it comes."""
    with caller.http.stream("GET", f"{JOBS}/{job['id']}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        yield _events(response)


def _events(response: httpx.Response) -> Iterator[Event]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield Event(name, json.loads(line.removeprefix("data: ")))


@contextmanager
def house(address: str, **switches: Any) -> Iterator[tuple[Caller, OpenAIUpstream]]:
    """A caller whose bank “Stories” has “Alloy”, spoken by a fake upstream two at a time."""
    without_limits()
    upstream = OpenAIUpstream(**{"speech": SOUND, "speech_type": "audio/wav"} | switches)
    with serve(upstream) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", max_concurrency=2)
        bank = Bank.objects.create(name="Stories")
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        caller = Caller(address, somebody("ann"))
        try:
            yield caller, upstream
        finally:
            caller.http.close()
            upstream.release(1000)
