"""Requests that come one after another on one connection, the next before the last is wholly over."""

from __future__ import annotations

import gc
import socket
from urllib.parse import urlsplit

import pytest

from tests.native_api import keyed

REQUESTS = 30


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/api/banks/", "/admin/login/", "/v1/models", "/health"])
def test_each_closes_its_database_connection(server: str, path: str) -> None:
    caller = keyed("banks.view_bank")
    address = urlsplit(server)
    head = f"GET {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {caller.secret}\r\n"
    sent = f"{head}\r\n" * (REQUESTS - 1) + f"{head}Connection: close\r\n\r\n"
    with socket.create_connection((address.hostname, address.port or 80), timeout=60) as connection:
        connection.sendall(sent.encode())
        answered = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answered.count(b"HTTP/1.1 200 OK\r\n") == REQUESTS
    # One that was left open says so now, which is an error of this test.
    gc.collect()
