"""What a new installation gets once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError

from api.models import Access, ApiKey, ServerSettings
from banks.models import Bank, Character, Membership
from neiroha_site.announcement import announcement, curl_line
from neiroha_site.first_run import SetupToken, create_administrator, make_admin, make_default_bank
from providers.models import Provider

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def administrator(name: str = "ada") -> User:
    return User.objects.create_superuser(name, password=PASSWORD)


class TestDefaultBank:
    def test_it_speaks_with_the_embedded_voice(self) -> None:
        assert make_default_bank()
        bank = Bank.objects.get()
        assert (bank.name, bank.active, bank.public) == ("Neiroha", True, False)
        heart = bank.characters.get()
        assert bank.default_character == heart
        assert (heart.name, heart.voice, heart.aliases, heart.enabled) == ("Heart", "heart", [], True)
        assert heart.provider.kind == "embedded"
        assert heart.provider.max_concurrency == heart.provider.adapter_class.capabilities.default_concurrency
        assert ServerSettings.load().seeded_at is not None

    def test_it_is_made_once(self) -> None:
        make_default_bank()
        Membership.objects.all().delete()
        for row in (Bank.objects.get(), Character.objects.get(), Provider.objects.get()):
            assert not row.remove()
        assert not make_default_bank()
        assert not Bank.objects.exists()

    def test_it_is_whole_or_not_there(self) -> None:
        Provider.objects.create(name="embedded VOICE", kind="embedded")
        with pytest.raises(Exception, match="[Cc]onstraint"):
            make_default_bank()
        assert ServerSettings.load().seeded_at is None
        assert not Bank.objects.exists()


class TestAdministrator:
    def test_from_the_environment(self) -> None:
        make_admin(PASSWORD)
        admin = authenticate(username="admin", password=PASSWORD)
        assert admin is not None
        assert admin.is_superuser and admin.is_staff

    def test_not_beside_another(self) -> None:
        administrator("ada")
        make_admin(PASSWORD)
        assert [user.username for user in User.objects.all()] == ["ada"]

    def test_a_changed_password_stays(self) -> None:
        make_admin(PASSWORD)
        admin = User.objects.get()
        admin.set_password("another good one")
        admin.save()
        make_admin(PASSWORD)
        assert authenticate(username="admin", password=PASSWORD) is None

    @pytest.mark.parametrize("password", ["short", "12345678901", "password123", "admin"])
    def test_a_weak_password_is_refused(self, password: str) -> None:
        with pytest.raises(CommandError, match="^NEIROHA_ADMIN_PASSWORD: Th(is|e) password is"):
            make_admin(password)
        assert not User.objects.exists()

    def test_a_user_of_that_name_is_not_taken_over(self) -> None:
        User.objects.create_user("Admin", password=PASSWORD)
        with pytest.raises(CommandError, match="a user named admin exists"):
            make_admin("another good one")
        assert not User.objects.filter(is_superuser=True).exists()

    def test_the_first_one_wins(self, django_capture_on_commit_callbacks: Any) -> None:
        token = SetupToken().offer()
        with django_capture_on_commit_callbacks(execute=True):
            assert create_administrator(User(username="first"))
        assert not SetupToken().matches(token)
        assert not create_administrator(User(username="second"))
        assert [(user.username, user.is_superuser, user.is_staff) for user in User.objects.all()] == [
            ("first", True, True)
        ]

    def test_a_failure_keeps_the_token(self, django_capture_on_commit_callbacks: Any) -> None:
        User.objects.create_user("taken")
        token = SetupToken().offer()
        with django_capture_on_commit_callbacks(execute=True), pytest.raises(IntegrityError):
            create_administrator(User(username="taken"))
        assert SetupToken().matches(token)


class TestSetupToken:
    def test_it_is_kept_for_its_owner(self, data_dir: Path) -> None:
        token = SetupToken().offer()
        assert len(token) >= 50
        assert SetupToken().offer() == token
        assert stat.S_IMODE((data_dir / "secrets" / "setup_token").stat().st_mode) == 0o600

    @pytest.mark.parametrize("wrong", ["", "wrong", "é", "\udcff", "\x00"])
    def test_nothing_else_matches(self, wrong: str) -> None:
        assert not SetupToken().matches(wrong)
        token = SetupToken().offer()
        assert SetupToken().matches(token)
        assert not SetupToken().matches(wrong)
        assert not SetupToken().matches(token + wrong + "x")
        assert not SetupToken().matches(token[:-1])

    def test_an_empty_file_opens_nothing(self, data_dir: Path) -> None:
        SetupToken().offer()
        (data_dir / "secrets" / "setup_token").write_text("\n")
        assert not SetupToken().matches("")

    def test_a_consumed_one_is_gone(self) -> None:
        first = SetupToken().offer()
        SetupToken().consume()
        SetupToken().consume()
        assert not SetupToken().matches(first)
        assert SetupToken().offer() != first

    def test_a_folder_that_cannot_be_written(self, data_dir: Path) -> None:
        (data_dir / "secrets").touch()
        with pytest.raises(CommandError, match="Can't"):
            SetupToken().offer()


class TestAnnouncement:
    def said(self, host: str = "127.0.0.1", port: int = 8976) -> str:
        return announcement(host, port, ServerSettings.load())

    def test_a_fresh_installation(self) -> None:
        make_default_bank()
        said = self.said()
        assert said.splitlines()[0] == "Neiroha is ready at http://127.0.0.1:8976"
        assert '"model": "Neiroha", "voice": "Heart"' in said
        assert "Authorization" not in said
        assert f"http://127.0.0.1:8976/setup?token={SetupToken().offer()}" in said

    def test_the_first_key_asks_for_one(self) -> None:
        make_default_bank()
        _, secret = ApiKey.objects.issue(name="first")
        assert ServerSettings.load().access == Access.KEYS
        assert "-H 'Authorization: Bearer YOUR_KEY'" in self.said()
        assert secret not in self.said()

    def test_with_an_administrator_there_is_no_link(self) -> None:
        token = SetupToken().offer()
        administrator()
        assert "/setup" not in self.said()
        assert "Admin pages: http://127.0.0.1:8976/admin/" in self.said()
        assert not SetupToken().matches(token)

    @pytest.mark.parametrize(
        "change",
        [
            lambda: Bank.objects.update(active=False),
            lambda: Character.objects.update(enabled=False),
            lambda: Provider.objects.update(enabled=False),
            lambda: Provider.objects.get().remove(),
            lambda: Character.objects.get().remove(),
            lambda: Bank.objects.get().remove(),
        ],
    )
    def test_a_voice_that_cannot_speak_is_not_offered(self, change: Any) -> None:
        make_default_bank()
        change()
        assert "curl" not in self.said()
        assert "No active bank has a voice yet" in self.said()

    def test_a_bank_that_comes_first_is_named(self) -> None:
        make_default_bank()
        Bank.objects.update(position=5)
        first = Bank.objects.create(name="It's 日本")
        Membership.objects.create(bank=first, character=Character.objects.get())
        assert r'"model": "It' "'\"'\"'" r's \u65e5\u672c"' in self.said()

    def test_a_switched_off_api(self) -> None:
        make_default_bank()
        ServerSettings.objects.update(api_enabled=False)
        assert "curl" not in self.said()
        assert "switched off" in self.said()

    def test_other_machines_are_told_a_name(self, settings: Any) -> None:
        settings.PUBLIC_URL = "https://voices.example.com"
        said = self.said("0.0.0.0")
        assert said.startswith("Neiroha is ready at http://127.0.0.1:8976 (from other machines: http://")
        assert "https://voices.example.com)" in said
        assert "https://voices.example.com/setup?token=" in said

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        line = curl_line("http://127.0.0.1:1", "\x1b[2J", "\x07'\"", keys=False)
        assert line.isprintable()


class TestServeRefuses:
    """Starts that end before anything listens; the message is what the process says last."""

    @pytest.fixture(autouse=True)
    def own_umask(self) -> Iterator[None]:
        """The command is made for a process of its own."""
        before = os.umask(0o022)
        yield
        os.umask(before)

    def refusal(self, *arguments: str) -> str:
        with pytest.raises(SystemExit) as caught:
            call_command("serve", *arguments, stdout=StringIO())
        assert isinstance(caught.value.code, str)
        assert "\n" not in caught.value.code
        return caught.value.code

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "[::]"])
    def test_an_open_api_beyond_loopback(self, host: str) -> None:
        assert self.refusal("--host", host).startswith("The API is open to everyone")

    def test_an_open_api_behind_a_proxy(self, settings: Any) -> None:
        settings.TRUSTED_PROXIES = ["127.0.0.1"]
        assert "a trusted proxy (NEIROHA_TRUSTED_PROXIES) brings others in" in self.refusal()

    def test_keys_go_on_to_listening(self, settings: Any) -> None:
        settings.BIND_PORT = 0
        ApiKey.objects.issue(name="first")
        assert self.refusal("--host", "192.0.2.1") == (
            "192.0.2.1 is not an address of this machine. Choose another with --host or NEIROHA_HOST."
        )

    def test_the_settings_page_knows_where_it_listens(self, settings: Any) -> None:
        settings.BIND_PORT = 0
        ApiKey.objects.issue(name="first")
        self.refusal("--host", "192.0.2.1")
        current = ServerSettings.load()
        assert current.host == "127.0.0.1"
        current.access = Access.OPEN
        with pytest.raises(ValidationError, match="192.0.2.1 can be reached"):
            current.clean()

    def test_allowed_on_purpose_goes_on_to_listening(self, settings: Any) -> None:
        settings.ALLOW_OPEN_API = True
        assert "not an address of this machine" in self.refusal("--host", "192.0.2.1")

    def test_the_environment_wins_over_the_settings(self, settings: Any) -> None:
        ServerSettings.objects.update_or_create(pk=1, defaults={"host": "0.0.0.0"})
        assert "0.0.0.0 can be reached" in self.refusal()
        settings.BIND_HOST = "192.0.2.7"
        assert "192.0.2.7 can be reached" in self.refusal()
        assert "192.0.2.8 can be reached" in self.refusal("--host", "192.0.2.8")

    def test_settings_that_do_not_fit_together(self, settings: Any) -> None:
        settings.PUBLIC_URL = "http://voices.example.com/tts"
        assert self.refusal().startswith("Configuration: NEIROHA_PUBLIC_URL has more than a scheme")

    def test_a_weak_admin_password(self, settings: Any) -> None:
        settings.ADMIN_PASSWORD = "short"
        assert "NEIROHA_ADMIN_PASSWORD: This password is too short" in self.refusal("--port", "0")

    def test_an_unknown_host(self, settings: Any) -> None:
        settings.ALLOW_OPEN_API = True
        assert self.refusal("--host", "nowhere.invalid") == "The host nowhere.invalid is not known on this machine."

    @pytest.mark.parametrize("port", ["65536", "-1", "http", "８０"])
    def test_what_is_no_port(self, port: str) -> None:
        with pytest.raises(CommandError, match="is not a port"):
            call_command("serve", "--port", port)
