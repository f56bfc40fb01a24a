"""`rotate_keys` and `create_key`."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from api.models import Access, ApiKey, ServerSettings, hash_key
from banks.models import Bank
from providers.fields import SecretUnreadable
from providers.models import Provider

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue().strip()


def ciphertexts() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, api_key FROM providers_provider")
        return dict(cursor.fetchall())


class TestRotateKeys:
    @pytest.fixture
    def providers(self, settings: Any) -> None:
        settings.FIELD_KEYS = [OLD]
        for name, key in {"first": "key one", "second": "ключ", "keyless": "", "archived": "key three"}.items():
            Provider.objects.create(name=name, kind="openai", base_url="http://127.0.0.1", api_key=key)
        Provider.objects.get(name="archived").remove()

    def test_every_secret_is_encrypted_with_the_first_key(self, providers: None, settings: Any) -> None:
        Provider.objects.filter(name="archived").update(archived_at="2026-01-01T00:00Z")
        before, changed = ciphertexts(), Provider.objects.get(name="first").updated_at
        settings.FIELD_KEYS = [NEW, OLD]
        said, _ = run("rotate_keys")
        assert said == "2 stored secrets are encrypted with the first key."
        settings.FIELD_KEYS = [NEW]
        assert {provider.name: provider.api_key for provider in Provider.objects.all()} == {
            "first": "key one",
            "second": "ключ",
            "keyless": "",
        }
        after = ciphertexts()
        assert after["keyless"] == before["keyless"] == ""
        assert after["first"] != before["first"]
        assert Provider.objects.get(name="first").updated_at == changed

    def test_a_secret_that_cannot_be_read_leaves_all_as_it_was(self, providers: None, settings: Any) -> None:
        settings.FIELD_KEYS = [NEW]
        Provider.objects.create(name="last", kind="openai", base_url="http://127.0.0.1", api_key="new")
        before = ciphertexts()
        with pytest.raises(CommandError, match="Nothing was changed"):
            run("rotate_keys")
        assert ciphertexts() == before
        with pytest.raises(SecretUnreadable):
            Provider.objects.get(name="first")


class TestCreateKey:
    def test_it_is_printed_once_and_closes_the_api(self) -> None:
        secret, said = run("create_key", "Phone")
        key = ApiKey.objects.get()
        assert (key.name, key.digest, key.owner) == ("Phone", hash_key(secret), None)
        assert ServerSettings.load().access == Access.KEYS
        assert said == "From now on, every request to the API needs a key."
        assert run("create_key", "Tablet")[1] == ""

    def test_banks_and_owner(self) -> None:
        owner = User.objects.create_user("ada")
        stories, news = Bank.objects.create(name="Stories"), Bank.objects.create(name="News")
        Bank.objects.create(name="Other")
        run("create_key", "Phone", "--bank", "stories", "--bank", "News", "--owner", "ada")
        key = ApiKey.objects.get()
        assert set(key.banks.all()) == {stories, news}
        assert key.owner == owner

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--bank", "Stroies"], "There is no bank named 'Stroies'; there are: Stories."),
            (["--owner", "nobody"], "There is no user named 'nobody'."),
        ],
    )
    def test_unknown_names_make_no_key(self, arguments: list[str], message: str) -> None:
        Bank.objects.create(name="Stories")
        Bank.objects.create(name="Gone", archived_at="2026-01-01T00:00Z")
        with pytest.raises(CommandError) as caught:
            run("create_key", "Phone", *arguments)
        assert str(caught.value) == message
        assert not ApiKey.objects.exists()
        assert ServerSettings.load().access == Access.OPEN

    @pytest.mark.parametrize("name", ["", "x" * 101])
    def test_a_name_that_does_not_fit(self, name: str) -> None:
        with pytest.raises(CommandError):
            run("create_key", name)
        assert not ApiKey.objects.exists()
