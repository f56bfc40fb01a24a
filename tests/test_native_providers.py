"""Providers over the native API: making, changing, asking and removing them, and what never leaves."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from banks.models import Character
from providers.audit import AuditEntry
from providers.models import CatalogueModel, CatalogueVoice, HealthReport, Provider
from tests.native_api import Caller, answer, code, keyed, names, param, session, without_limits

SECRET = "sk-live-9f8e7d6c5b4a39281706"
OPENAI = {"name": "Cloud", "kind": "openai", "base_url": "https://tts.example.com/v1"}
RIGHTS = [f"providers.{verb}_provider" for verb in ("view", "add", "change", "delete")]


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def manager() -> Caller:
    return keyed(*RIGHTS)


@pytest.fixture
def viewer() -> Caller:
    return session("providers.view_provider")


def test_the_whole_life_of_a_provider(manager: Caller) -> None:
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET, "options": {"model": "tts-1"}})
    assert (made["name"], made["kind"], made["base_url"], made["has_key"]) == (*OPENAI.values(), True)
    assert made["options"] == {"model": "tts-1"} and made["healthy"] is None and made["enabled"] is True
    path = f"providers/{made['id']}/"
    assert manager.get(path) == made
    changed = manager.patch(path, {"name": "Cloudier", "enabled": False, "requests_per_minute": 7})
    assert (changed["name"], changed["enabled"], changed["requests_per_minute"]) == ("Cloudier", False, 7)
    row = Provider.objects.get()
    assert (row.name, row.api_key, row.requests_per_minute) == ("Cloudier", SECRET, 7)
    manager.delete(path)
    assert not Provider.objects.exists()
    manager.get(path, 404)


def test_what_is_left_out_is_as_the_kind_suggests(manager: Caller) -> None:
    made = manager.post("providers/", {"name": "Here", "kind": "embedded"})
    suggested = Provider(kind="embedded").adapter_class.capabilities.default_concurrency
    assert made["max_concurrency"] == suggested and made["options"] == {} and made["base_url"] == ""


def test_changes_are_in_the_audit_trail_without_values(manager: Caller) -> None:
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET})
    manager.patch(f"providers/{made['id']}/", {"api_key": SECRET + "2", "enabled": False})
    manager.delete(f"providers/{made['id']}/")
    trail = list(AuditEntry.objects.order_by("pk").values_list("user_name", "change", "object_name"))
    name = manager.user.username if manager.user else ""
    assert trail == [(name, "added", "Cloud"), (name, "changed", "Cloud"), (name, "deleted", "Cloud")]
    notes = [entry.change_message + entry.object_repr for entry in LogEntry.objects.all()]
    assert any("api_key" in note and "enabled" in note for note in notes)
    assert not any(SECRET in note for note in notes)


def test_a_key_is_never_shown(manager: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET})
    path = f"providers/{made['id']}/"
    seen = [made, manager.get("providers/"), manager.get(path), manager.patch(path, {"api_key": SECRET + "2"})]
    seen += [manager.patch(path, {"api_key": SECRET, "name": ""}, 400)]
    seen += [manager.post("providers/", {**OPENAI, "api_key": SECRET}, 400)]
    seen += [manager.patch(path, {"api_key": [SECRET]}, 400), manager.patch(path, {SECRET: 1}, 400)]
    told = json.dumps(seen[:-1]) + caplog.text
    assert SECRET not in told and "api_key" not in json.dumps(seen[:4])


def test_a_key_that_can_not_be_read_any_more_does_not_keep_from_changing(manager: Caller, settings: Any) -> None:
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET})
    settings.FIELD_KEYS = ["Zx0pWGfWpmZs0mG1vtkEbfCOrQbuH8jZ1kzZK1nYH8g="]
    path = f"providers/{made['id']}/"
    assert manager.get(path)["has_key"] is True
    assert manager.patch(path, {"enabled": False})["has_key"] is True
    assert manager.patch(path, {"api_key": "sk-new"})["has_key"] is True
    assert Provider.objects.get().api_key == "sk-new"


def test_an_empty_key_removes_it_and_null_is_refused(manager: Caller) -> None:
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET})
    path = f"providers/{made['id']}/"
    assert param(manager.patch(path, {"api_key": None}, 400)) == "api_key"
    assert manager.patch(path, {"api_key": ""})["has_key"] is False


def test_a_stored_key_does_not_follow_to_another_server(manager: Caller) -> None:
    made = manager.post("providers/", {**OPENAI, "api_key": SECRET})
    path = f"providers/{made['id']}/"
    for moved in ("https://evil.example.net/v1", "http://tts.example.com/v1", "https://tts.example.com:8443/v1"):
        assert param(manager.patch(path, {"base_url": moved}, 400)) == "api_key"
    assert manager.patch(path, {"base_url": "https://tts.example.com/v2"})["has_key"] is True
    assert manager.patch(path, {"base_url": "https://other.example.net/", "api_key": "sk-other"})["has_key"] is True


def test_a_kind_that_needs_a_key_gets_one(manager: Caller) -> None:
    from providers import adapters

    kind = next(kind for kind in adapters.kinds() if adapters.adapter_class(kind).capabilities.needs_key)
    body = {"name": "Needs", "kind": kind, "base_url": "https://westeurope.tts.speech.microsoft.com"}
    assert param(manager.post("providers/", body, 400)) == "api_key"
    made = manager.post("providers/", {**body, "api_key": SECRET})
    assert param(manager.patch(f"providers/{made['id']}/", {"api_key": ""}, 400)) == "api_key"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": "TAKEN"}, "name"),
        ({"kind": "teapot"}, "kind"),
        ({"kind": 1}, "kind"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "ftp://tts.example.com"}, "base_url"),
        ({"base_url": "http://user:pass@tts.example.com"}, "base_url"),
        ({"base_url": "http://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "http://[::1"}, "base_url"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": 65}, "max_concurrency"),
        ({"max_concurrency": "4"}, "max_concurrency"),
        ({"max_concurrency": True}, "max_concurrency"),
        ({"max_concurrency": 4.5}, "max_concurrency"),
        ({"requests_per_day": -1}, "requests_per_day"),
        ({"requests_per_day": 10**30}, "requests_per_day"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"options": []}, "options"),
        ({"options": {"teapot": 1}}, "options.teapot"),
        ({"options": {"model": {"a": 1}}}, "options"),
        ({"options": {"model": "m" * 2001}}, "options.model"),
        ({"api_key": "k" * 4001}, "api_key"),
        ({"id": 7}, "id"),
        ({"has_key": True}, "has_key"),
        ({"archived_at": None}, "archived_at"),
        ({"teapot": 1}, "teapot"),
    ],
    ids=range(33),
)
def test_what_a_provider_can_not_be_is_said_at_its_field(manager: Caller, values: dict[str, Any], field: str) -> None:
    Provider.objects.create(name="Taken", kind="embedded")
    refused = manager.post("providers/", {**OPENAI, **values}, 400)
    assert param(refused) == field and code(refused) in ("invalid_value", "missing_value")
    assert Provider.objects.count() == 1


@pytest.mark.parametrize("text", ['{"model": "\\ud800"}', '{"\\udfff": "x"}', '{"model": "x", "a": 1e999}'])
def test_what_can_not_be_written_again_is_no_option(manager: Caller, text: str) -> None:
    raw = json.dumps({**OPENAI, "options": "?"}).replace('"?"', text)
    assert code(answer(manager.ask("POST", "providers/", raw=raw), 400)) == "parse_error"
    assert not Provider.objects.exists()


def test_the_kind_is_given_once(manager: Caller) -> None:
    made = manager.post("providers/", OPENAI)
    assert param(manager.patch(f"providers/{made['id']}/", {"kind": "embedded"}, 400)) == "kind"


def test_the_address_and_options_are_for_those_who_may_change_it(manager: Caller, viewer: Caller) -> None:
    made = manager.post("providers/", {**OPENAI, "options": {"model": "tts-1"}})
    row = Provider.objects.get()
    HealthReport.objects.create(
        provider=row, checked_at=timezone.now(), reachable=True, admin_url="https://tts.example.com/admin"
    )
    path = f"providers/{made['id']}/"
    for seen in (viewer.get(path), viewer.get("providers/")["results"][0]):
        assert (seen["base_url"], seen["options"], seen["healthy"]) == (None, None, True)
    assert viewer.get(path + "health/")["admin_url"] is None
    assert manager.get(path + "health/")["admin_url"] == "https://tts.example.com/admin"
    assert "tts.example.com" not in json.dumps([viewer.get(path), viewer.get(path + "health/")])
    assert names(viewer.get("providers/?search=tts.example")) == []


def test_a_used_provider_is_archived_and_comes_back(manager: Caller) -> None:
    row = Provider.objects.create(name="Used", kind="embedded")
    Character.objects.create(name="Heart", provider=row)
    path = f"providers/{row.pk}/"
    archived = manager.delete(path, 200)
    assert archived["archived_at"]
    assert names(manager.get("providers/")) == [] and names(manager.get("providers/?archived=true")) == ["Used"]
    for refused in (
        manager.patch(path, {"name": "x"}, 409),
        manager.delete(path, 409),
        manager.post(path + "fetch/", status=409),
        manager.post(path + "health/", status=409),
    ):
        assert code(refused) == "conflict"
    other = manager.post("providers/", {"name": "used", "kind": "embedded"})
    assert code(manager.post(path + "restore/", status=409)) == "conflict"
    manager.delete(f"providers/{other['id']}/")
    assert manager.post(path + "restore/", status=200)["archived_at"] is None


# What is found is written on a connection of its own.
@pytest.mark.django_db(transaction=True)
def test_fetching_and_checking(manager: Caller) -> None:
    row = Provider.objects.create(name="Here", kind="embedded")
    path = f"providers/{row.pk}/"
    assert code(manager.get(path + "health/", 409)) == "conflict"
    report = manager.post(path + "health/", status=200)
    assert report["healthy"] is True and report["reachable"] is True
    assert manager.get(path + "health/") == report
    assert manager.get(path)["healthy"] is True
    fetched = manager.post(path + "fetch/", status=200)
    assert fetched["voices"] == CatalogueVoice.objects.count() > 0
    assert fetched["models"] == CatalogueModel.objects.count()
    assert [entry.change for entry in AuditEntry.objects.all()] == ["changed"]


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_is_down_is_a_bad_gateway_and_no_failure_of_ours(manager: Caller) -> None:
    row = Provider.objects.create(name="Gone", kind="openai", base_url="http://127.0.0.1:9/v1")
    report = manager.post(f"providers/{row.pk}/health/", status=200)
    assert report["healthy"] is False and "Gone" in report["reason"]
    refused = manager.post(f"providers/{row.pk}/fetch/", status=502)
    assert code(refused) == "upstream_unreachable" and "127.0.0.1" not in refused["error"]["message"]


def test_a_provider_of_a_kind_that_is_no_more(manager: Caller) -> None:
    row = Provider.objects.create(name="Old", kind="phonograph")
    path = f"providers/{row.pk}/"
    assert manager.get(path)["kind"] == "phonograph"
    manager.patch(path, {"name": "New"}, 409)
    manager.post(path + "fetch/", status=409)
    manager.post(path + "health/", status=409)
    manager.delete(path)


def test_lists_are_found_ordered_and_cut(viewer: Caller) -> None:
    for position, name in enumerate(("Gamma", "Alpha", "Beta")):
        Provider.objects.create(name=name, kind="embedded", position=position, enabled=name != "Beta")
    assert names(viewer.get("providers/")) == ["Gamma", "Alpha", "Beta"]
    assert names(viewer.get("providers/?ordering=-name")) == ["Gamma", "Beta", "Alpha"]
    assert names(viewer.get("providers/?search=A&enabled=true&ordering=name")) == ["Alpha", "Gamma"]
    assert names(viewer.get("providers/?enabled=false")) == ["Beta"]
    page = viewer.get("providers/?limit=1&offset=1")
    assert (page["count"], names(page)) == (3, ["Alpha"])
    assert "offset=2" in page["next"] and page["previous"]


def test_kinds_tell_what_each_asks_for(viewer: Caller) -> None:
    from providers import adapters

    kinds = {kind["kind"]: kind for kind in viewer.get("kinds/")}
    assert set(kinds) == set(adapters.kinds())
    assert kinds["openai"]["needs_base_url"] is True
    assert {option["name"] for option in kinds["openai"]["provider_options"]} >= {"model"}
    session("banks.view_bank").get("kinds/", 403)
