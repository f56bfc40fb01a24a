"""Several processes behind nginx: what `make scale` starts does what one server does, and outlives its parts."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from tests.hearing import assert_heard
from tests.scale_process import START_SECONDS, Scale, running_scale
from tests.server_process import manage
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, Stage, serve

SENTENCE = "The quick brown fox jumps over the lazy dog."
PASSWORD = "correct horse battery"
# Built by hand: such a body has to be made while it is sent.
BOUNDARY = "0123456789abcdef"
MEGABYTE = b"\0" * 1024**2

PREPARE = """
from django.contrib.auth.models import User
from api.models import ApiKey, ServerSettings
from banks.models import Bank, Character, Membership
from providers.models import Provider
ServerSettings.objects.update(log_requests=True, rate_limit_per_minute=0)
provider = Provider.objects.create(name="Up", kind="openai", base_url="%(url)s/v1", max_concurrency=8)
character = Character.objects.create(name="Alloy", provider=provider, voice="alloy", model="tts-1")
Membership.objects.create(bank=Bank.objects.get(name="Neiroha"), character=character)
print(ApiKey.objects.issue(name="scale", owner_id=User.objects.create(username="owner").pk)[1])
"""
LOGGED = """
from api.models import RequestLog
import json
print(json.dumps(list(RequestLog.objects.filter(path="/v1/models").values_list("address", flat=True))))
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, str]]:
    """Where the provider is, whichever upstream a test puts there."""
    made = Stage()
    made.app = OpenAIUpstream()
    with serve(made) as url:
        yield made, url


@pytest.fixture
def upstream(stage: tuple[Stage, str]) -> Iterator[OpenAIUpstream]:
    app = OpenAIUpstream()
    stage[0].app = app
    yield app
    app.release(10_000)


@pytest.fixture(scope="module")
def scale(stage: tuple[Stage, str]) -> Iterator[Scale]:
    with (
        TemporaryDirectory(prefix="neiroha-tests-") as folder,
        running_scale(Path(folder), "--workers", "1") as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key(scale: Scale, stage: tuple[Stage, str]) -> dict[str, str]:
    """The header with a key, without which nobody speaks from now on."""
    secret = scale.manage("shell", "--no-imports", "-c", PREPARE % {"url": stage[1]})
    headers = {"Authorization": f"Bearer {secret}"}
    end = monotonic() + WAIT_SECONDS
    # Every web has heard of it, whichever is asked.
    while {httpx.get(f"{scale.url}/v1/models", trust_env=False).status_code for _ in range(6)} != {401}:
        assert monotonic() < end
    return headers


@pytest.fixture
def http(scale: Scale, key: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=scale.url, headers=key, timeout=WAIT_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def administrator(scale: Scale) -> dict[str, str]:
    """The cookies of the first administrator, made by the set-up link."""
    link = re.search(r"http://\S+/setup\?token=\S+", scale.said)
    assert link and link[0].startswith(scale.url)
    fields = {"username": "admin", "password1": PASSWORD, "password2": PASSWORD}
    with httpx.Client(timeout=WAIT_SECONDS, trust_env=False) as client:
        assert client.post(link[0], data=fields).headers["location"] == "/admin/"
        assert client.post(link[0], data=fields).status_code == 404, "it works once, whichever web is asked"
        # Whichever web answers, the session is known.
        assert {client.get(f"{scale.url}/admin/").status_code for _ in range(6)} == {200}
        return dict(client.cookies)


def until(reached: Callable[[], bool]) -> None:
    """A worker's processes take long to start where much else runs."""
    end = monotonic() + START_SECONDS
    while not reached():
        assert monotonic() < end
        sleep(0.2)


def say(http: httpx.Client, text: str = SENTENCE, **fields: object) -> httpx.Request:
    body = {"model": "Neiroha", "voice": "Alloy", "input": text, "response_format": "wav", **fields}
    return http.build_request("POST", "/v1/audio/speech", json=body)


def test_the_pages_take_forms_through_the_proxy(scale: Scale, administrator: dict[str, str]) -> None:
    """The browser's origin has nginx's port, which no web has."""
    with httpx.Client(base_url=scale.url, cookies=administrator, timeout=WAIT_SECONDS, trust_env=False) as client:
        page = client.get("/admin/banks/bank/add/")
        token = SimpleCookie(page.headers["set-cookie"])["csrftoken"].value
        headers = {"origin": scale.url, "x-csrftoken": token}
        assert client.post("/admin/logout/", headers=headers | {"origin": "http://127.0.0.1:1"}).status_code == 403
        assert client.post("/admin/banks/bank/add/", headers=headers).status_code == 200


def test_a_live_page_is_live(scale: Scale, administrator: dict[str, str]) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in administrator.items())
    address = scale.url.replace("http://", "ws://") + "/admin/queue/live/"
    opened = connect(
        address,
        origin=scale.url,  # type: ignore[arg-type]
        additional_headers={"Cookie": cookie},
        open_timeout=WAIT_SECONDS,
        proxy=None,
    )
    with opened as page:
        assert "Nothing waits." in str(page.recv(timeout=WAIT_SECONDS))


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_speech_comes_before_its_end_is_made(http: httpx.Client, upstream: OpenAIUpstream, stream_format: str) -> None:
    upstream.switches.gated = True
    asking = say(http, stream=True, stream_format=stream_format)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.send, asking, stream=True)
        upstream.release()
        answer = asked.result(WAIT_SECONDS)
        assert answer.status_code == 200
        parts = answer.iter_raw()
        assert next(parts)
        assert upstream.chunks_sent == 1, "the provider has not sent more than the first piece"
        upstream.release(10_000)
        assert sum(map(len, parts)) > upstream.switches.chunk_bytes
        answer.close()


def test_both_webs_work(scale: Scale, http: httpx.Client, upstream: OpenAIUpstream, stage: tuple[Stage, str]) -> None:
    upstream.switches.held = True
    port = int(stage[1].rpartition(":")[2])

    def both_call() -> bool:
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(http.send, say(http)) for _ in range(8)]
            upstream.wait_for(lambda app: app.current == 8)
            calling = [calls(scale.pid(name), port) for name in ("web 1", "web 2")]
            upstream.release(8)
            assert {each.result(WAIT_SECONDS).status_code for each in asked} == {200}
        return all(calling)

    # nginx leaves one that was killed a moment ago alone for a while.
    until(both_call)


def calls(pid: int, port: int) -> bool:
    open_now = [one for one in psutil.Process(pid).net_connections("tcp") if one.status == psutil.CONN_ESTABLISHED]
    return any(one.raddr and one.raddr.port == port for one in open_now)


def test_a_job_is_spoken_by_the_worker_even_when_one_dies(
    scale: Scale, http: httpx.Client, upstream: OpenAIUpstream
) -> None:
    upstream.switches.held = True
    texts = [{"input": f"{SENTENCE} {number}.", "custom_id": f"{number}"} for number in range(4)]
    body = {"model": "Neiroha", "voice": "Alloy", "response_format": "wav", "inputs": texts}
    made = http.post("/v1/jobs", json=body)
    assert made.status_code == 201, made.text
    until(lambda: len(upstream.spoken) > 0)
    old = scale.pid("worker 1")
    psutil.Process(old).kill()
    assert int(scale.wait_for(r"worker 1 had ended: started again as process (\d+)")[1]) != old
    upstream.switches.held = False
    upstream.release(100)
    until(lambda: http.get(f"/v1/jobs/{made.json()['id']}").json()["status"] == "completed")
    job = http.get(f"/v1/jobs/{made.json()['id']}").json()
    assert job["counts"]["done"] == 4


def test_the_clients_address_is_the_true_one(scale: Scale, key: dict[str, str]) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=scale.url, transport=transport, timeout=WAIT_SECONDS) as client:
        forged = {"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-real-ip": "203.0.113.7", **key}
        assert client.get("/v1/models", headers=forged).status_code == 200
    end = monotonic() + WAIT_SECONDS
    # The log is written a moment later.
    while "127.0.0.2" not in (logged := json.loads(scale.manage("shell", "--no-imports", "-c", LOGGED))):
        assert monotonic() < end
        sleep(0.1)
    assert "127.0.0.2" in logged and "203.0.113.7" not in logged


def large(megabytes: int) -> Iterator[bytes]:
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="begin"\r\n\r\n1\r\n'.encode()
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="database"; filename="neiroha.db"\r\n\r\n'.encode()
    for _ in range(megabytes):
        yield MEGABYTE
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(scale: Scale, path: str, megabytes: int, cookies: dict[str, str]) -> httpx.Response:
    length = sum(map(len, large(0))) + megabytes * len(MEGABYTE)
    headers = {
        "content-type": f"multipart/form-data; boundary={BOUNDARY}",
        "content-length": str(length),
        "origin": scale.url,
    }
    with httpx.Client(base_url=scale.url, cookies=cookies, timeout=WAIT_SECONDS, trust_env=False) as client:
        page = client.get("/studio/desktop/")
        headers["x-csrftoken"] = SimpleCookie(page.headers.get("set-cookie", ""))["csrftoken"].value
        return client.post(path, headers=headers, content=large(megabytes))


def test_a_large_upload_is_taken_where_one_is_meant_to_come(scale: Scale, administrator: dict[str, str]) -> None:
    answer = upload(scale, "/studio/desktop/", 300, administrator)
    # All of it came: it is Neiroha's own form that says why this file is none.
    assert answer.status_code == 200
    assert "200" in answer.text and "MB" in answer.text


def test_and_refused_elsewhere(scale: Scale, administrator: dict[str, str]) -> None:
    assert upload(scale, "/admin/banks/bank/add/", 40, administrator).status_code == 413


def test_the_api_refuses_a_large_body_in_its_own_words(http: httpx.Client) -> None:
    answer = http.post("/v1/audio/speech", content=large(20), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_a_killed_web_is_missed_by_nobody_and_comes_back(scale: Scale, http: httpx.Client) -> None:
    for name in ("web 1", "web 2"):
        old = scale.pid(name)
        psutil.Process(old).kill()
        assert [http.get("/v1/models").status_code for _ in range(10)] == [200] * 10
        new = int(scale.wait_for(rf"{name} had ended: started again as process (\d+)")[1])
        assert new != old
        scale_answers(scale, new)


def scale_answers(scale: Scale, pid: int) -> None:
    """Wait until this web listens, so that the next one may be killed."""
    end = monotonic() + WAIT_SECONDS
    while not any(one.status == psutil.CONN_LISTEN for one in psutil.Process(pid).net_connections("tcp")):
        assert monotonic() < end, scale.said
        sleep(0.1)


def test_a_server_that_counts_on_being_alone_is_refused_beside_them(scale: Scale) -> None:
    folder = Path(scale.variables["NEIROHA_DATA_DIR"])
    refused = manage(folder, "serve", "--port", "0")
    assert refused.returncode == 1
    assert f"runs on the data folder {folder}" in refused.stderr


@pytest.fixture
def temporary() -> Iterator[Path]:
    with TemporaryDirectory(prefix="neiroha-tests-") as folder:
        yield Path(folder)


def test_ctrl_c_ends_all_of_it(temporary: Path) -> None:
    with running_scale(temporary, "--webs", "1", "--workers", "1") as scale:
        worker = psutil.Process(scale.pid("worker 1"))
        until(lambda: len(worker.children(recursive=True)) >= 3)
        started = scale.all_processes()
        assert {"postgres", "redis-server", "nginx"} <= {process.name() for process in started}
        assert scale.end() == 130
        _, alive = psutil.wait_procs(started, timeout=WAIT_SECONDS)
        assert alive == []
    assert [path.name for path in temporary.iterdir()] == ["output"]


def hear_the_printed_line(scale: Scale, folder: Path) -> None:
    line = next(line.strip() for line in scale.said.splitlines() if line.startswith("  curl"))
    assert line.count("Hello! This is Neiroha speaking.") == 1
    line = line.replace("Hello! This is Neiroha speaking.", SENTENCE)
    subprocess.run(["bash", "-c", line], cwd=folder, check=True, capture_output=True, timeout=WAIT_SECONDS)
    assert_heard(SENTENCE, (folder / "hello.mp3").read_bytes())


def test_what_was_kept_is_there_the_next_time(temporary: Path) -> None:
    options = ("--webs", "1", "--workers", "0", "--folder", str(temporary / "kept"))
    with running_scale(temporary, *options) as scale:
        hear_the_printed_line(scale, temporary)
        key = scale.manage("create_key", "Kept")
        assert scale.end(signal.SIGTERM) == 130
    with running_scale(temporary, *options) as scale:
        assert "YOUR_KEY" in scale.said
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{scale.url}/v1/models", headers=headers, trust_env=False).status_code == 200
        assert httpx.get(f"{scale.url}/v1/models", trust_env=False).status_code == 401
