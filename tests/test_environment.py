"""The environment is read loudly, and missing secrets are made once."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from neiroha_site.environment import env_bool, env_int, env_list, env_secret, env_text, kept_secret

NAME = "NEIROHA_TEST_VALUE"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("TRUE", True), (" on ", True), ("yes", True), ("0", False), ("Off", False), ("", False)],
)
def test_a_truth_value(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv(NAME, text)
    assert env_bool(NAME, default=not value) is value


def test_an_unset_truth_value_is_the_default() -> None:
    assert env_bool(NAME) is False
    assert env_bool(NAME, default=True) is True


@pytest.mark.parametrize("text", ["2", "maybe", "tru", "-1"])
def test_what_is_no_truth_value_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} must be true or false, not '{text}'"):
        env_bool(NAME)


@pytest.mark.parametrize(("text", "value"), [("1", 1), (" 65535 ", 65535), ("08", 8), ("", None), ("  ", None)])
def test_a_number(monkeypatch: pytest.MonkeyPatch, text: str, value: int | None) -> None:
    monkeypatch.setenv(NAME, text)
    assert env_int(NAME, 1, 65535) == value


@pytest.mark.parametrize("text", ["0", "65536", "-1", "1.5", "1e3", "٣", "²", "80 80", "0x50"])
def test_what_is_no_number_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match="must be a whole number from 1 to 65535"):
        env_int(NAME, 1, 65535)


def test_text_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    assert env_text(NAME, "fallback") == "fallback"
    assert env_list(NAME) == []
    monkeypatch.setenv(NAME, " a, ,b ,")
    assert env_text(NAME) == "a, ,b ,"
    assert env_list(NAME) == ["a", "b"]


class TestSecrets:
    def test_from_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert env_secret(NAME) == ""
        monkeypatch.setenv(NAME, " secret\n")
        assert env_secret(NAME) == "secret"

    def test_from_a_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("secret\n")
        monkeypatch.setenv(f"{NAME}_FILE", str(file))
        assert env_secret(NAME) == "secret"

    def test_both_are_a_mistake(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(NAME, "secret")
        monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path))
        with pytest.raises(ImproperlyConfigured, match=f"Set {NAME} or {NAME}_FILE, not both."):
            env_secret(NAME)

    @pytest.mark.parametrize("content", [None, b"\xff\xfe"])
    def test_a_file_that_cannot_be_read(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
    ) -> None:
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        monkeypatch.setenv(f"{NAME}_FILE", str(file))
        with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE: can't read {file}"):
            env_secret(NAME)


class TestKeptSecrets:
    def test_made_once_for_its_owner(self, tmp_path: Path) -> None:
        path = tmp_path / "data" / "secrets" / "key"
        made = kept_secret(path, "key")
        assert len(made) >= 50
        assert kept_secret(path, "key") == made
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["key"]

    def test_a_fernet_key_is_one(self, tmp_path: Path) -> None:
        Fernet(kept_secret(tmp_path / "secrets" / "keys", "fernet"))

    def test_those_who_start_together_agree(self, tmp_path: Path) -> None:
        path, together = tmp_path / "secrets" / "key", threading.Barrier(8)

        def start(_: int) -> str:
            together.wait(30)
            return kept_secret(path, "key")

        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(start, range(8)))) == 1

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(ImproperlyConfigured, match="Can't write to the data folder /proc/neiroha"):
            kept_secret(Path("/proc/neiroha/secrets/key"), "key")
        (tmp_path / "occupied").touch()
        with pytest.raises(ImproperlyConfigured, match="Can't read"):
            kept_secret(tmp_path / "occupied" / "secrets" / "key", "key")
