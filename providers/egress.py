"""Where a provider may be: anywhere, its own machine and private networks included, but not where addresses of another
kind lead to: the metadata of the machine's cloud, its own link, or everybody at once. What users name, such as
webhooks, may be in public networks only. Standard library only."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

type Address = IPv4Address | IPv6Address

_METADATA = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # most clouds
        "fd00:ec2::254",  # Amazon
        "fd00:ec2::23",  # Amazon, credentials of a pod
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure, its wire server
        "192.0.0.192",  # Oracle
    )
)
# Through a proxy, it is the proxy that resolves them.
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog"})
_NAT64 = IPv6Network("64:ff9b::/96")
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
# All that the Internet has given out of IPv6.
_GIVEN_OUT = IPv6Network("2000::/3")
_OWN = "this machine itself"


class AddressRefused(OSError):
    """`reason` says what the address is, to stand after “leads to”."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, "Nothing may be called there")
        self.reason = reason


def check_address(address: str, *, public: bool = False) -> None:
    """AddressRefused unless `address` is an IP address that may be connected to; `public`: and everybody's network."""
    found = _literal(address)
    if found is None:
        # A name would be resolved once more, unchecked.
        raise AddressRefused("an address that can't be checked")
    meant = _unwrapped(found)
    if reason := _reason(meant) or (public and _private_reason(meant)):
        raise AddressRefused(reason)


def check_host(host: str, *, public: bool = False) -> None:
    """As `check_address`, for the host of a URL; other names than those of metadata pass, to be resolved first."""
    plain = unquote(host).strip("[]").rstrip(".").lower()
    if plain in _METADATA_NAMES:
        raise AddressRefused("the metadata of a cloud")
    if public and (plain == "localhost" or plain.endswith(".localhost")):
        raise AddressRefused(_OWN)
    if _literal(plain) is not None:
        check_address(plain, public=public)


def _literal(host: str) -> Address | None:
    with suppress(ValueError):
        return ip_address(host)
    # 2130706433, 127.1 and 0x7f.1 are addresses to a system's resolver.
    with suppress(OSError, ValueError):
        return IPv4Address(socket.inet_aton(host))
    return None


def _unwrapped(address: Address) -> Address:
    """The address that is meant: without its zone, and the IPv4 one out of its IPv6 forms."""
    if isinstance(address, IPv4Address):
        return address
    plain = IPv6Address(int(address))
    if plain in _NAT64:
        return IPv4Address(int(plain) & 0xFFFFFFFF)
    _server, client = plain.teredo or (None, None)
    return plain.ipv4_mapped or plain.sixtofour or client or plain


def _reason(address: Address) -> str:
    """Why it is refused; empty when it may be called."""
    # ::1 lies in a reserved block.
    if address.is_loopback:
        return ""
    if address in _METADATA:
        return "the metadata of a cloud"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_reserved or address.is_unspecified or address in _THIS_NETWORK:
        return "a reserved address"
    return ""


def _private_reason(address: Address) -> str:
    """Why it is nobody's public address; empty where it is one."""
    if address.is_loopback:
        return _OWN
    given_out = isinstance(address, IPv4Address) or address in _GIVEN_OUT
    return "" if address.is_global and given_out else "a private address"
