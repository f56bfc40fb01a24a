"""What failed is tried again from the page of the queue, where its text is known and by whom it belongs to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from banks.models import Character
from studio import runner
from studio.generate import Want, generate
from studio.lines import Draft, add
from studio.models import Project, Take, TakeState
from studio.retries import failed
from studio.tickets import made_for, take_of
from tests.studio import PRODUCER, browser_of, ended, queued, signed_in, somebody
from tests.test_admin_queue import QUEUE, section
from tests.test_api_streams import eventually
from tests.test_batches import alloy, ann, script, upstream  # noqa: F401 - fixtures
from tests.upstreams.common import Refusal

pytestmark = pytest.mark.django_db(transaction=True)

RETRY = "/admin/queue/retry/"
SEES = ("providers.view_provider", *PRODUCER)
ONCE = [Refusal(400, "Only on Sundays.")]


def refused(upstream: Any, owner: User, character: Character, **values: Any) -> Take:  # noqa: F811
    """A quick take that failed in the running server."""
    upstream.switches.refusals = list(ONCE)
    take = queued(owner, character, **values)
    runner.wake()
    take = ended(take)
    assert take.state == TakeState.FAILED
    return take


def button(browser: httpx.Client) -> str:
    """The recent list's first button, without its classes; empty where there is none."""
    recent = section(browser.get(QUEUE), "recent")
    return recent.split('form="nr-retry" name="take" value="')[1].split('"')[0] if "nr-retry" in recent else ""


def press(browser: httpx.Client, take: object) -> httpx.Response:
    page = browser.get(QUEUE)
    token = page.text.split('id="nr-retry"')[1].split('value="')[1].split('"')[0]
    values = {"csrfmiddlewaretoken": token, "take": str(take)}
    headers = {"Referer": str(browser.base_url)}
    return browser.post(RETRY, data=values, headers=headers, follow_redirects=True)


def test_a_quick_take_is_tried_again(upstream: Any, ann: User, alloy: Character, server: str) -> None:  # noqa: F811
    take = refused(upstream, ann, alloy, text="Once more, please.")
    with browser_of(ann, server) as browser:
        assert button(browser) == str(take.pk)
        assert "It is tried again." in press(browser, take.pk).text
    again = ended(Take.objects.exclude(pk=take.pk).get())
    assert (again.state, again.text, again.owner) == (TakeState.DONE, "Once more, please.", ann)
    assert [body["input"] for body in upstream.spoken] == ["Once more, please."] * 2


def test_a_line_is_tried_again_as_the_line_that_it_is(
    upstream: Any,  # noqa: F811
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    script: Project,  # noqa: F811
    server: str,
) -> None:
    upstream.switches.refusals = list(ONCE)
    (line,) = add(script, [Draft("A line.", character_id=alloy.pk)])
    generate(script, script.lines.all(), Want.MISSING, ann)
    eventually(lambda: script.lines.counts() == {"failed": 1})
    first = Take.objects.get()
    with browser_of(ann, server) as browser:
        assert button(browser) == str(first.pk)
        press(browser, first.pk)
        eventually(lambda: script.lines.counts() == {"done": 1})
        line.refresh_from_db()
        assert line.take is not None and line.take != first and line.take.project == script
        assert button(browser) == "", "the line has another attempt now"
        assert "can't be tried again" in press(browser, first.pk).text.replace("&#x27;", "'")
    assert Take.objects.count() == 2


def test_several_tickets_of_one_take_have_one_button(
    upstream: Any,  # noqa: F811
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    server: str,
) -> None:
    upstream.switches.refusals = [Refusal(500, "Out of memory.")] * 3
    take = queued(ann, alloy)
    runner.wake()
    assert ended(take).state == TakeState.FAILED
    with browser_of(ann, server) as browser:
        recent = section(browser.get(QUEUE), "recent")
    assert recent.count("Out of memory.") == 3 and recent.count('form="nr-retry"') == 1


def test_what_a_program_asked_for_has_none(
    upstream: Any,  # noqa: F811
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    client_http: httpx.Client,
    server: str,
) -> None:
    upstream.switches.refusals = list(ONCE)
    body = {"voice": "Alloy", "model": "Tales", "input": "Hello."}
    assert client_http.post("/v1/audio/speech", json=body).status_code == 500
    with browser_of(ann, server) as browser:
        assert "Only on Sundays." in section(browser.get(QUEUE), "recent") and button(browser) == ""


def test_only_ones_own_and_only_with_the_right(
    upstream: Any,  # noqa: F811
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    server: str,
) -> None:
    bob, eve = somebody("bob", *SEES), somebody("eve", *SEES)
    viewer = somebody("viewer", "providers.view_provider")
    take = refused(upstream, bob, alloy)
    for other in (eve, viewer):
        with browser_of(other, server) as browser:
            assert button(browser) == ""
            page = press(browser, take.pk)
            assert page.status_code == 403 or "be tried again any more" in page.text
    assert signed_in(viewer).post(RETRY, {"take": take.pk}).status_code == 403
    assert signed_in(somebody("outsider", *PRODUCER)).post(RETRY, {"take": take.pk}).status_code == 403
    assert Take.objects.count() == 1
    for may in (bob, ann):
        with browser_of(may, server) as browser:
            assert button(browser) == str(take.pk)


def test_a_project_that_one_has_left_is_left_alone(
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    script: Project,  # noqa: F811
) -> None:
    bob = somebody("bob", *SEES, "studio.view_project", "studio.change_project")
    (line,) = add(script, [Draft("A line.", character_id=alloy.pk)])
    take = queued(bob, alloy, project=script, line=line, state=TakeState.FAILED)
    line.attempt = take
    line.save()
    assert not failed(bob, [take.pk]).exists() and failed(ann, [take.pk]).exists()
    script.members.add(bob)
    assert failed(bob, [take.pk]).exists()
    assert not failed(somebody("eve", *SEES), [take.pk]).exists()


@pytest.mark.parametrize("asked", ["", "x", "-1", "999999", "9" * 40, "٣"])
def test_nothing_is_tried_again_says_so(ann: User, asked: str) -> None:  # noqa: F811
    client = signed_in(ann)
    assert client.get(RETRY).status_code == 405
    page = client.post(RETRY, {"take": asked}, follow=True).content.decode()
    assert "be tried again any more" in page and not Take.objects.exists()


def test_a_take_without_room_says_so(
    upstream: Any,  # noqa: F811
    ann: User,  # noqa: F811
    alloy: Character,  # noqa: F811
    server: str,
) -> None:
    take = refused(upstream, ann, alloy)
    upstream.switches.held = True
    for _number in range(20):
        queued(ann, alloy)
    with browser_of(ann, server) as browser:
        assert "20 of your takes are not spoken yet" in press(browser, take.pk).text


def test_the_words_of_a_ticket() -> None:
    assert take_of(made_for(17)) == 17
    assert take_of("") == take_of("job:17") == 0
