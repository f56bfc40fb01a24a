"""Ports for servers that are started a moment later."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from deploy import ports
from deploy.ports import PORTS, free_port


def test_each_is_free_and_given_once() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    for port in given:
        socket.create_server(("127.0.0.1", port)).close()


def test_no_outgoing_connection_gets_one() -> None:
    range_file = Path("/proc/sys/net/ipv4/ip_local_port_range")
    # Where the system does not tell: macOS, the BSDs and Windows begin at 49152.
    lowest = int(range_file.read_text().split()[0]) if range_file.exists() else 49_152
    assert PORTS.start >= 1024 and PORTS.stop <= lowest


def test_one_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        taken, free = server.getsockname()[1], free_port()
        monkeypatch.setattr(ports, "_given", set())
        monkeypatch.setattr(random, "sample", lambda among, count: [taken, free])
        assert free_port() == free


def test_where_none_is_free_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        monkeypatch.setattr(ports, "_given", set())
        monkeypatch.setattr(random, "sample", lambda among, count: [server.getsockname()[1]])
        with pytest.raises(OSError, match="no free port"):
            free_port()
