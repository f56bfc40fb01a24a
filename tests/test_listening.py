"""Sockets, addresses and the lock of the data folder."""

from __future__ import annotations

import errno
import multiprocessing
import os
import socket
import stat
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from neiroha_site.data_folder import LOCK_NAME, DataFolderLock
from neiroha_site.listening import bind, close, is_wildcard, listen_on, local_url


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


def test_it_listens_at_once() -> None:
    sockets = bind("127.0.0.1", 0)
    try:
        assert len(sockets) == 1
        assert not sockets[0].get_inheritable()
        socket.create_connection(sockets[0].getsockname()).close()
    finally:
        close(sockets)


@NEEDS_IPV6
def test_two_families_share_one_port() -> None:
    sockets = listen_on([(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0, 0, 0))])
    try:
        assert [one.family for one in sockets] == [socket.AF_INET, socket.AF_INET6]
        assert len({one.getsockname()[1] for one in sockets}) == 1
    finally:
        close(sockets)


def test_an_address_that_is_missing_is_left_out() -> None:
    sockets = listen_on([(socket.AF_INET, ("192.0.2.1", 0)), (socket.AF_INET, ("127.0.0.1", 0))])
    try:
        assert [one.getsockname()[0] for one in sockets] == ["127.0.0.1"]
    finally:
        close(sockets)


def test_one_taken_address_gives_the_others_back() -> None:
    taken = bind("127.0.0.1", 0)
    port = taken[0].getsockname()[1]
    try:
        with pytest.raises(OSError):
            listen_on([(socket.AF_INET, ("127.0.0.2", port)), (socket.AF_INET, ("127.0.0.1", port))])
        close(listen_on([(socket.AF_INET, ("127.0.0.2", port))]))
    finally:
        close(taken)


def test_a_port_is_taken_even_by_one_who_does_not_answer() -> None:
    taken = bind("127.0.0.1", 0)
    port = taken[0].getsockname()[1]
    try:
        with pytest.raises(CommandError, match=f"Port {port} on 127.0.0.1 is taken by another program."):
            bind("127.0.0.1", port)
    finally:
        close(taken)
    close(bind("127.0.0.1", port))


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine."),
        ("nowhere.invalid", "The host nowhere.invalid is not known on this machine."),
        ("a" * 70 + ".example", "is not known on this machine."),
        ("in valid", "The host in valid is not known on this machine."),
    ],
)
def test_hosts_that_are_none(host: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        bind(host, 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("[::]", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("[fd00::1]", "http://[fd00::1]:80"),
        ("voices.lan", "http://voices.lan:80"),
    ],
)
def test_addresses_that_people_can_use(host: str, url: str) -> None:
    assert local_url(host, 80) == url
    assert is_wildcard(host) is (host in ("0.0.0.0", "::", "[::]"))


def _hold(folder: Path, held: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with DataFolderLock(folder):
        held.set()
        done.wait(60)


class TestDataFolderLock:
    def test_those_who_share_it_are_many_and_one_alone_is_refused(self, tmp_path: Path) -> None:
        alone, shared = DataFolderLock(tmp_path), DataFolderLock(tmp_path, shared=True)
        with shared, DataFolderLock(tmp_path, shared=True), pytest.raises(CommandError, match="Another Neiroha server"):
            alone.__enter__()
        with alone, pytest.raises(CommandError, match="NEIROHA_REDIS_URL"):
            shared.__enter__()

    def test_it_is_given_back(self, tmp_path: Path) -> None:
        for _ in range(2):
            with DataFolderLock(tmp_path):
                assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
        assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o600

    def test_it_is_held_by_one(self, tmp_path: Path) -> None:
        with (
            DataFolderLock(tmp_path),
            pytest.raises(CommandError, match=rf"Another Neiroha server \(process {os.getpid()}\) runs"),
            DataFolderLock(tmp_path),
        ):
            pass
        with DataFolderLock(tmp_path):
            pass

    def test_a_killed_process_gives_it_back(self, tmp_path: Path) -> None:
        spawn = multiprocessing.get_context("spawn")
        held, done = spawn.Event(), spawn.Event()
        holder = spawn.Process(target=_hold, args=(tmp_path, held, done))
        holder.start()
        try:
            assert held.wait(60)
            with pytest.raises(CommandError, match=f"process {holder.pid}"), DataFolderLock(tmp_path):
                pass
        finally:
            holder.kill()
            holder.join(60)
            holder.close()
        with DataFolderLock(tmp_path):
            pass

    def test_what_a_dead_process_left_behind_is_no_lock(self, tmp_path: Path) -> None:
        (tmp_path / LOCK_NAME).write_text("not a number, and long " * 100)
        with DataFolderLock(tmp_path):
            assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"

    def test_a_missing_folder_is_made(self, tmp_path: Path) -> None:
        with DataFolderLock(tmp_path / "new" / "data"):
            pass

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "folder" / LOCK_NAME).mkdir(parents=True)
        for folder in (tmp_path / "file", tmp_path / "folder", Path("/proc/neiroha")):
            with pytest.raises(CommandError, match=f"Can't write to the data folder {folder}"), DataFolderLock(folder):
                pass
