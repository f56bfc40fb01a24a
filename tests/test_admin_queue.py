"""The queue's page shows the running server's queue; the page for when it stays silent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.test import Client

from api.models import ServerSettings
from banks.models import Bank
from neiroha_site.pages import response_headers
from providers.models import Provider
from providers.wording import duration
from tests.admin_pages import person
from tests.conftest import add_character
from tests.test_api_errors import change_settings
from tests.test_api_streams import eventually
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

QUEUE, CANCEL, TROUBLE = "/admin/queue/", "/admin/queue/cancel/", "/admin/troubleshooting/"


@dataclass
class House:
    """A provider with one place, spoken to over the API of the running server."""

    http: httpx.Client
    app: OpenAIUpstream
    pool: ThreadPoolExecutor

    def say(self, text: str) -> Future[httpx.Response]:
        body = {"voice": "Alloy", "input": text}
        return self.pool.submit(self.http.post, "/v1/audio/speech", json=body)

    def browser(self, *rights: str) -> httpx.Client:
        """Somebody's browser at the running server."""
        session = person(*rights).cookies["sessionid"].value
        return httpx.Client(base_url=self.http.base_url, timeout=60, trust_env=False, cookies={"sessionid": session})


@pytest.fixture
def house(client_http: httpx.Client, bank: Bank) -> Iterator[House]:
    # Whoever waits does so until the test lets them go, however slow the machine is.
    change_settings(queue_deadline_seconds=600)
    app = OpenAIUpstream(held=True)
    with serve(app) as url, ThreadPoolExecutor(4) as pool:
        provider = Provider.objects.create(name="<b>Upstream", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield House(client_http, app, pool)
        app.release(100)


def section(page: httpx.Response, name: str) -> str:
    """The part of the queue's page under one heading."""
    assert page.status_code == 200, page.text
    return page.text.split(f'id="nr-{name}"')[1].split("</section>")[0]


def cancel_form(browser: httpx.Client, name: str) -> dict[str, str]:
    """What the cancel button of the first entry under this heading sends."""
    page = browser.get(QUEUE)
    token = page.text.split('id="nr-cancel"')[1].split('value="')[1].split('"')[0]
    return {"csrfmiddlewaretoken": token, "ticket": section(page, name).split('name="ticket" value="')[1].split('"')[0]}


def press(browser: httpx.Client, values: dict[str, str]) -> httpx.Response:
    return browser.post(CANCEL, data=values, headers={"Referer": str(browser.base_url)}, follow_redirects=True)


def test_running_waiting_and_recent_of_the_running_server(house: House) -> None:
    with house.browser("providers.view_provider") as browser:
        first = house.say("The first sentence.")
        house.app.wait_for(lambda app: len(app.spoken) == 1)
        second = house.say("The second sentence.")
        eventually(lambda: "Nothing waits." not in browser.get(QUEUE).text)
        page = browser.get(QUEUE)
        assert "127.0.0.1" in section(page, "running") and "tokens" in section(page, "running")
        assert "starts in about" in section(page, "waiting")
        assert "&lt;b&gt;Upstream" in page.text and "<b>Upstream" not in page.text
        assert 'name="ticket"' not in page.text, "a viewer may only look"
        house.app.release(100)
        assert first.result().status_code == second.result().status_code == 200
        # A slot is given back after its answer's last byte.
        eventually(lambda: "Nothing runs." in browser.get(QUEUE).text)
        page = browser.get(QUEUE)
        assert "Nothing waits." in page.text
        assert section(page, "recent").count("nr-light-ok") >= 2


def test_a_failure_is_shown_with_its_real_reason(house: House) -> None:
    house.app.switches.refusals = [Refusal(400, "Only on <i>Sundays</i>.")]
    assert house.say("Anything.").result().status_code == 500
    with house.browser("providers.view_provider") as browser:
        recent = section(browser.get(QUEUE), "recent")
    newest = recent.split("<li>")[1]
    assert "upstream_rejected" in newest and "Only on &lt;i&gt;Sundays&lt;/i&gt;." in newest
    assert "nr-light-bad" in newest


def test_one_waiting_request_is_cancelled(house: House) -> None:
    with house.browser("providers.view_provider", "providers.change_provider") as browser:
        first = house.say("The first sentence.")
        house.app.wait_for(lambda app: len(app.spoken) == 1)
        second = house.say("The second sentence.")
        eventually(lambda: "Nothing waits." not in browser.get(QUEUE).text)
        values = cancel_form(browser, "waiting")
        assert browser.post(CANCEL, data={"ticket": values["ticket"]}).status_code == 403, "without the token"
        page = press(browser, values)
        assert "1 request was cancelled." in page.text
        refused = second.result()
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "cancelled"
        assert not first.done()
        page = press(browser, values)
        assert "Nothing of that waits or runs any more." in page.text
        house.app.release(100)
        assert first.result().status_code == 200
        assert len(house.app.spoken) == 1


def test_what_runs_is_stopped_too(house: House) -> None:
    with house.browser("providers.view_provider", "providers.change_provider") as browser:
        running = house.say("The first sentence.")
        house.app.wait_for(lambda app: len(app.spoken) == 1)
        page = press(browser, cancel_form(browser, "running"))
        assert "1 request was cancelled." in page.text
        refused = running.result()
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "cancelled"
        assert refused.headers["x-should-retry"] == "false"
        house.app.wait_for(lambda app: app.current == 0 and app.disconnects == 1)
    with house.browser("providers.view_provider") as viewer:
        token = viewer.get("/admin/").cookies.get("csrftoken") or ""
        assert viewer.post(CANCEL, data={"ticket": "1", "csrfmiddlewaretoken": token}).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_without_a_server_the_queue_is_empty() -> None:
    page = person("providers.view_provider").get(QUEUE).content.decode()
    assert "Nothing runs." in page and "Nothing waits." in page and "since the server started" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ticket", ["", "x", "-1", "999999", "9" * 40, "٣"])
def test_cancelling_nothing_says_so(ticket: str) -> None:
    page = person(superuser=True).post(CANCEL, {"ticket": ticket}, follow=True)
    assert "Nothing of that waits or runs any more." in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_who_may_look_and_who_may_cancel() -> None:
    for path in (QUEUE, TROUBLE):
        for outsider in (Client(), person("providers.view_provider", staff=False)):
            assert outsider.get(path)["Location"].startswith("/admin/login/")
        assert person("banks.view_bank").get(path).status_code == 403
        assert person("providers.change_provider").get(path).status_code == 200
    for looker in (person(), person("providers.view_provider")):
        assert looker.post(CANCEL, {"ticket": "1"}).status_code == 403
    assert person(superuser=True).get(CANCEL).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person(superuser=True).cookies
    assert strict.post(CANCEL, {"ticket": "1"}).status_code == 403


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (99, "99 s"),
        (99.6, "2 min"),
        (3600, "60 min"),
        (36_000, "10 h"),
    ],
)
def test_durations_are_rounded_to_what_matters(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# Troubleshooting


@pytest.mark.django_db
def test_the_steps_stand_in_the_order_of_the_contract() -> None:
    page = person(superuser=True).get(TROUBLE).content.decode()
    steps = ["/health", "/v1/models", "/v1/audio/voices", "Fetch all from the providers", "Speak one sentence"]
    places = [page.index(f">{step}") if step.startswith("/") else page.index(step) for step in steps]
    assert places == sorted(places)
    assert "The API is on" in page
    assert all(name in page for name, _ in response_headers())
    row = ServerSettings.load()
    row.api_enabled = False
    row.save()
    assert "The API is switched off" in person(superuser=True).get(TROUBLE).content.decode()


@pytest.mark.django_db
def test_what_is_live_is_counted_for_those_who_may_see_it() -> None:
    provider = Provider.objects.create(name="Inside", kind="embedded")
    Provider.objects.create(name="Old", kind="forgotten", enabled=False)
    add_character(Bank.objects.create(name="Stories"), provider, "Heart")
    page = person(superuser=True).get(TROUBLE)
    text = page.content.decode()
    assert "1 voice can speak" in text and '"voice": "Heart"' in text.replace("&quot;", '"')
    assert "Kept here: voices 0, models 0" in text and "Switched off" in text and "Not part of this version." in text
    assert text.count("/fetch/") == 1, "no button for a kind that is gone"
    viewer = person("providers.view_provider").get(TROUBLE).content.decode()
    assert "can speak" not in viewer and "Heart" not in viewer and "/fetch/" not in viewer


def test_the_documentation_names_the_same_headers() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "troubleshooting.md").read_text()
    named = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `X-Neiroha-")]
    assert named == [name for name, _ in response_headers()]
