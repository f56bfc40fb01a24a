"""Ports for servers that are started a moment later."""

from __future__ import annotations

import random
import socket

# Below those that systems give to outgoing connections: one of these may take a port before its server listens on it.
PORTS = range(15_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """On the loopback, another one each time. OSError where none is to be had."""
    problem: OSError | None = None
    for port in random.sample(PORTS, 200):
        if port in _given:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            problem = error
            continue
        _given.add(port)
        return port
    raise OSError("There is no free port.") from problem
