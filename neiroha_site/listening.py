"""Where the server listens: sockets bound before anything is said, and the addresses that people can use."""

from __future__ import annotations

import errno
import os
import socket
import sys
from ipaddress import ip_address
from typing import Any

from django.core.management.base import CommandError

BACKLOG = 2048

type Address = tuple[Any, ...]


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for every address that `host` means; port 0 takes a free one, the same for all of them.

    CommandError, in one line, when that can't be.
    """
    try:
        return listen_on(_resolve(host, port))
    except OSError as error:
        raise CommandError(_refusal(host, port, error)) from error


def listen_on(addresses: list[tuple[int, Address]]) -> list[socket.socket]:
    """One socket for each (family, address) that this machine has. OSError when one is taken or none is there."""
    bound: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in addresses:
        at_port = bound[0].getsockname()[1] if bound else address[1]
        try:
            bound.append(_listen(family, (address[0], at_port, *address[2:])))
        except OSError as error:
            # A machine without IPv6 still has its localhost.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                close(bound)
                raise
            absent = error
    if absent is not None and not bound:
        raise absent
    return bound


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _resolve(host: str, port: int) -> list[tuple[int, Address]]:
    try:
        found = socket.getaddrinfo(_bare(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"The host {host} is not known on this machine.") from error
    # IPv4 first: its address is the one to show.
    unique = dict.fromkeys((int(family), address) for family, _type, _protocol, _name, address in found)
    return sorted(unique, key=lambda entry: entry[0] != socket.AF_INET)


def _listen(family: int, address: Address) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        # Listening is what makes a port taken for everybody else.
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Choose another with --port or NEIROHA_PORT."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on port {port} of {host}. Choose another with --port or NEIROHA_PORT."
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"{host} is not an address of this machine. Choose another with --host or NEIROHA_HOST."
    return f"Can't listen on {host}, port {port}: {os.strerror(error.errno or 0)}."


def _bare(host: str) -> str:
    return host.strip().removeprefix("[").removesuffix("]")


def is_wildcard(host: str) -> bool:
    try:
        return ip_address(_bare(host)).is_unspecified
    except ValueError:
        return False


def local_url(host: str, port: int) -> str:
    """The address that works on this machine: for a wildcard its loopback twin, IPv6 in brackets."""
    name = _bare(host)
    if is_wildcard(name):
        name = "::1" if ":" in name else "127.0.0.1"
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
