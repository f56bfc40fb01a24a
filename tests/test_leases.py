"""Leases: what several processes may do to a row at the same time, without any of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from banks.models import Bank, Character
from providers.errors import UpstreamBusy
from providers.models import Provider
from providers.queue import Priority
from studio import claims, exporter, exports, housekeeping
from studio.export_options import ExportOptions, What
from studio.models import Export, Project, Scope, SuggestionRun, Take, TakeState, leases
from studio.models.takes import MOST_ATTEMPTS
from studio.tickets import made_for, project_of, take_of
from tests.conftest import add_character
from tests.studio import clear_files, done, queued, somebody, stored
from tests.test_takes import made

pytestmark = pytest.mark.django_db

LEASE = timedelta(minutes=5)


@pytest.fixture
def ann() -> Iterator[User]:
    yield somebody("ann", superuser=True)
    clear_files()


@pytest.fixture
def heart() -> Character:
    provider = Provider.objects.create(name="Embedded", kind="embedded", max_concurrency=3)
    return add_character(Bank.objects.create(name="Stories"), provider, "Heart")


@pytest.fixture
def script(ann: User) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=ann, format="wav")


def leased(owner: User, character: Character, **values: Any) -> Take:
    (take,) = Take.objects.claim([queued(owner, character, **values).pk], LEASE)
    return take


def lapse(*rows: Any) -> None:
    for row in rows:
        type(row).objects.filter(pk=row.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def state_of(row: Any) -> str:
    return str(type(row).objects.get(pk=row.pk).state)


def test_a_claim_has_the_lease_that_was_asked_for(ann: User, heart: Character) -> None:
    alone, shared = Take.objects.claim([queued(ann, heart).pk])[0], leased(ann, heart)
    assert alone.lease_until is None
    assert shared.lease_until is not None
    assert timedelta(minutes=4) < shared.lease_until - timezone.now() < timedelta(minutes=6)


def test_only_what_lapsed_is_queued_again(ann: User, heart: Character) -> None:
    held, lost, waiting, ended = leased(ann, heart), leased(ann, heart), queued(ann, heart), done(ann, heart)
    lapse(lost)
    housekeeping.put_back_lapsed()
    assert [state_of(one) for one in (held, lost, waiting, ended)] == ["running", "queued", "queued", "done"]
    (again,) = Take.objects.claim([lost.pk], LEASE)
    assert (again.attempts, again.claim != lost.claim) == (2, True)


def test_what_was_begun_without_a_lease_is_of_a_server_that_is_gone(ann: User, heart: Character) -> None:
    (take,) = Take.objects.claim([queued(ann, heart).pk])
    housekeeping.put_back_lapsed()
    assert state_of(take) == "queued"


def test_nothing_is_said_to_wait_where_nothing_does(ann: User, heart: Character) -> None:
    take = leased(ann, heart)
    housekeeping.put_back_lapsed()
    assert not housekeeping.any_waiting()
    lapse(take)
    housekeeping.put_back_lapsed()
    assert housekeeping.any_waiting()


def test_a_take_that_its_speakers_died_with_so_often_ends(ann: User, heart: Character) -> None:
    take = leased(ann, heart)
    Take.objects.update(attempts=MOST_ATTEMPTS)
    lapse(take)
    housekeeping.put_back_lapsed()
    assert not housekeeping.any_waiting()
    take.refresh_from_db()
    assert (take.state, take.error_code, take.retry_helps) == ("failed", "interrupted", True)


def test_a_renewed_lease_does_not_lapse(ann: User, heart: Character) -> None:
    mine, foreign = leased(ann, heart), leased(ann, heart)
    lapse(mine, foreign)
    leases.renew(Take.objects.all(), {mine.pk: mine.claim, foreign.pk: "an older one"}, LEASE)
    housekeeping.put_back_lapsed()
    assert (state_of(mine), state_of(foreign)) == ("running", "queued")


def test_whoever_holds_takes_learns_which_count_no_more(ann: User, heart: Character) -> None:
    kept, cancelled, again, deleted = (leased(ann, heart) for _ in range(4))
    held = {take.pk: take.claim for take in (kept, cancelled, again, deleted)}
    Take.objects.filter(pk=cancelled.pk).cancel()
    lapse(again)
    housekeeping.put_back_lapsed()
    Take.objects.claim([again.pk], LEASE)
    pk = deleted.pk
    deleted.delete()
    assert leases.lost(Take.objects.all(), held) == {cancelled.pk, again.pk, pk}


def test_a_line_is_finished_once_by_whoever_has_it(ann: User, heart: Character) -> None:
    frozen = leased(ann, heart)
    lapse(frozen)
    housekeeping.put_back_lapsed()
    assert not frozen.complete(made()), "it waits again"
    (other,) = Take.objects.claim([frozen.pk], LEASE)
    assert not frozen.complete(made()) and not frozen.fail(UpstreamBusy("Busy."))
    assert state_of(other) == "running"
    assert other.complete(made())
    assert not frozen.fail(UpstreamBusy("Busy."))
    other.refresh_from_db()
    assert other.state == "done" and stored() == {Path(other.file.name or "").name}


def test_what_is_laid_down_waits_again_and_counts_as_no_attempt(ann: User, heart: Character) -> None:
    unbegun, begun, lost, cancelled = (leased(ann, heart) for _ in range(4))
    Take.objects.filter(pk=cancelled.pk).cancel()
    claimed = {unbegun.pk: unbegun.claim, lost.pk: "an older one", cancelled.pk: cancelled.claim}
    assert Take.objects.all().lay_down(claimed, begun=False) == 1
    assert Take.objects.all().lay_down({begun.pk: begun.claim}, begun=True) == 1
    rows = {take.pk: (take.state, take.attempts, take.claim, take.lease_until) for take in Take.objects.all()}
    assert rows[unbegun.pk] == ("queued", 0, "", None)
    assert rows[begun.pk] == ("queued", 1, "", None)
    assert (rows[lost.pk][:2], rows[cancelled.pk][0]) == (("running", 1), "cancelled")


# Claims.


def test_several_runners_take_no_more_of_a_provider_than_it_has_room_for(ann: User, heart: Character) -> None:
    for number in range(20):
        queued(ann, heart, f"Line {number}.", priority=Priority.BATCH.value)
    first = claims.batch({}, LEASE)
    second = claims.batch({}, LEASE)
    assert (len(first), second) == (3 + claims.AHEAD, [])
    for claim in first[:3]:
        assert claim.take.complete(made())
    assert [claim.take.text for claim in claims.batch({}, LEASE)] == ["Line 7.", "Line 8.", "Line 9."]


def test_a_runner_leaves_something_of_a_great_provider_to_the_others(ann: User, heart: Character) -> None:
    Provider.objects.update(max_concurrency=claims.CHUNK)
    for number in range(2 * claims.CHUNK):
        queued(ann, heart, f"Line {number}.", priority=Priority.BATCH.value)
    assert [len(claims.batch({}, LEASE)) for _ in range(3)] == [claims.CHUNK, claims.CHUNK, 0]


def test_alone_a_runner_takes_all_at_once(ann: User, heart: Character) -> None:
    Provider.objects.update(max_concurrency=claims.CHUNK)
    for number in range(2 * claims.CHUNK):
        queued(ann, heart, f"Line {number}.", priority=Priority.BATCH.value)
    assert len(claims.batch({})) == 2 * claims.CHUNK


# Exports and suggestions.


def exported(project: Project, ann: User, heart: Character) -> Export:
    from studio.lines import Draft, add

    (line,) = add(project, [Draft("One.", character_id=heart.pk)])
    take = done(ann, heart, text="One.", project=project, line=line)
    project.lines.update(take=take, attempt=take)
    return exports.ask(project, ann, ExportOptions(What.AUDIO, "wav"), incomplete=True)


def test_an_export_is_finished_once_by_whoever_has_it(script: Project, ann: User, heart: Character) -> None:
    export = exported(script, ann, heart)
    frozen = Export.objects.claim_next(LEASE)
    assert frozen is not None and Export.objects.claim_next(LEASE) is None
    lapse(frozen)
    housekeeping.put_back_lapsed()
    assert housekeeping.any_waiting()
    other = Export.objects.claim_next(LEASE)
    assert other is not None and other.pk == frozen.pk == export.pk
    exporter.make(frozen, threading.Event())
    assert state_of(export) == "running", "it is made by somebody else"
    exporter.make(other, threading.Event())
    assert state_of(export) == "done"
    assert not frozen.fail(UpstreamBusy("Busy.")) and state_of(export) == "done"


def test_a_text_is_read_on_by_whoever_has_it(script: Project, ann: User) -> None:
    SuggestionRun.objects.create(project=script, owner=ann, scope=Scope.ALL, sent_to="here")
    frozen = SuggestionRun.objects.claim_next(LEASE)
    assert frozen is not None and frozen.went_on(3, 4)
    lapse(frozen)
    housekeeping.put_back_lapsed()
    assert housekeeping.any_waiting()
    other = SuggestionRun.objects.claim_next(LEASE)
    assert other is not None and (other.reached, other.done) == (3, 4)
    assert not frozen.went_on(7, 4) and not frozen.end(TakeState.DONE)
    assert other.went_on(7, 4) and other.end(TakeState.DONE)


def test_a_ticket_says_whose_take_it_is_for() -> None:
    assert (take_of(made_for(17, 4)), project_of(made_for(17, 4))) == (17, 4)
    assert (take_of(made_for(17)), project_of(made_for(17))) == (17, None)
    assert (take_of("12"), project_of("12"), take_of("take:1/"), project_of("")) == (0, None, 0, None)
