"""Who can make keys for /metrics: administrators, wherever keys are made."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from api.admin import ApiKeyAdmin
from api.models import Access, ApiKey, Scope, ServerSettings
from tests.native_api import code, keyed, make_user, param, session
from tests.studio import signed_in

ADD = "/admin/api/apikey/add/"
RIGHTS = ("api.add_apikey", "api.view_apikey", "api.change_apikey")

pytestmark = pytest.mark.django_db


def test_the_native_api_makes_one_for_an_administrator() -> None:
    made = session(superuser=True).post("keys/", {"name": "Prometheus", "scope": "metrics"})
    assert made["scope"] == "metrics" and made["secret"].startswith("nei-")


def test_the_native_api_makes_none_for_anybody_else() -> None:
    caller = session(*RIGHTS)
    refused = caller.post("keys/", {"name": "Eye", "scope": "metrics"}, status=400)
    assert param(refused) == "scope" and "administrators" in refused["error"]["message"]
    speaking = caller.post("keys/", {"name": "Chat"})
    assert param(caller.patch(f"keys/{speaking['id']}/", {"scope": "metrics"}, status=400)) == "scope"
    assert not ApiKey.objects.filter(scope=Scope.METRICS).exists()


def test_it_reaches_nothing_under_the_native_api() -> None:
    assert code(keyed(scope=Scope.METRICS, superuser=True).get("banks/", status=403)) == "permission_denied"


def test_the_page_offers_it_to_administrators_only() -> None:
    assert 'value="metrics"' in signed_in(make_user(superuser=True)).get(ADD).content.decode()
    member = signed_in(make_user(*RIGHTS))
    assert 'value="metrics"' not in member.get(ADD).content.decode()
    answer = member.post(ADD, {"name": "Eye", "scope": "metrics"})
    assert answer.status_code == 200 and not ApiKey.objects.exists()
    assert "metrics" in answer.content.decode()


def test_the_page_refuses_an_owner_who_is_no_administrator() -> None:
    root, kim = signed_in(make_user(superuser=True)), make_user()
    answer = root.post(ADD, {"name": "Eye", "scope": "metrics", "owner": kim.pk})
    assert "Metrics are for administrators" in answer.content.decode()
    root.post(ADD, {"name": "Eye", "scope": "metrics", "owner": ""})
    assert ApiKey.objects.get().owner is None


def test_the_command() -> None:
    said, warned = StringIO(), StringIO()
    call_command("create_key", "Prometheus", scope="metrics", stdout=said, stderr=warned)
    assert said.getvalue().startswith("nei-") and warned.getvalue() == ""
    assert ServerSettings.load().access == Access.OPEN
    kim = make_user()
    with pytest.raises(CommandError, match="Metrics are for administrators"):
        call_command("create_key", "Eye", scope="metrics", owner=kim.get_username())
    with pytest.raises(CommandError, match="--owner"):
        call_command("create_key", "Eye", scope="read")
    assert ApiKey.objects.count() == 1


def test_the_list_can_be_filtered_by_it() -> None:
    assert "scope" in ApiKeyAdmin.list_filter
    ApiKey.objects.issue(name="Eye", scope=Scope.METRICS)
    ApiKey.objects.issue(name="Chat")
    found = session(superuser=True).get("keys/?scope=metrics")
    assert [row["name"] for row in found["results"]] == ["Eye"]
