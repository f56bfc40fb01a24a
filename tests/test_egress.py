"""Where a provider may be, from the rule on addresses down to the connection. Nothing here leaves the machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from django.core.exceptions import ValidationError

from providers.egress import AddressRefused, check_address, check_host
from providers.errors import ProviderUnavailable, UpstreamRejected, UpstreamUnreachable
from providers.http import exchange, make_client
from providers.models import Provider, validate_base_url
from providers.speech import ProviderConfig
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import PATIENT_SECONDS, closed_port, serving

CONFIG = ProviderConfig(id=1, name="Faraway", kind="openai", key="sk-secret-0123456789", timeout=PATIENT_SECONDS)

ALLOWED = [
    *("127.0.0.1", "127.255.0.9", "::1", "10.0.0.5", "172.16.3.4", "192.168.1.2", "100.64.0.7", "fd12:3456::7"),
    *("8.8.8.8", "2606:4700::1111", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:192.168.1.2", "64:ff9b::8.8.8.8", "2002:0808:0808::1"),
]
METADATA = [
    *("169.254.169.254", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.192", "fd00:ec2::254%eth0", "::ffff:169.254.169.254", "::ffff:a83f:8110", "64:ff9b::169.254.169.254"),
    *("64:ff9b::6464:64c8", "2002:a9fe:a9fe::1", "2001:0:4136:e378:8000:63bf:5601:5601"),
]
LINK_LOCAL = [
    *("169.254.0.1", "169.254.170.2", "169.254.255.255", "fe80::1", "fe80::1%eth0", "fe80::1%25eth0", "febf::1"),
    *("::ffff:169.254.1.1", "64:ff9b::169.254.1.1", "2002:a9fe:0101::"),
]
MULTICAST = ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "::ffff:224.0.0.1"]
RESERVED = [
    *("0.0.0.0", "0.0.0.1", "::", "240.0.0.1", "255.255.255.255", "::ffff:0.0.0.0", "::ffff:255.255.255.255"),
    # An IPv4 address in a form that no system should send: refused, whatever it is.
    *("::8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b:1::8.8.8.8"),
]
REFUSED = [
    *((address, "the metadata of a cloud") for address in METADATA),
    *((address, "a link-local address") for address in LINK_LOCAL),
    *((address, "a multicast address") for address in MULTICAST),
    *((address, "a reserved address") for address in RESERVED),
]
# What a URL may say for 169.254.169.254.
ODD_FORMS = [
    *("2852039166", "0xa9fea9fe", "0xA9FEA9FE", "169.254.43518", "169.16689662", "0251.0376.0251.0376"),
    *("0xa9.254.0251.254", "169.254.169.254.", "%31%36%39.254.169.254", "[::ffff:a9fe:a9fe]"),
]


# The rule.


@pytest.mark.parametrize("address", ALLOWED)
def test_public_private_and_own_addresses_are_allowed(address: str) -> None:
    check_address(address)
    check_host(address)
    check_host(f"[{address}]")


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_addresses_of_no_provider(address: str, reason: str) -> None:
    for check in (check_address, check_host):
        with pytest.raises(AddressRefused) as caught:
            check(address)
        assert caught.value.reason == reason


@pytest.mark.parametrize("host", ODD_FORMS)
def test_odd_forms_of_an_address_are_that_address(host: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        check_host(host)
    assert caught.value.reason == "the metadata of a cloud"


@pytest.mark.parametrize("host", ["0x7f.1", "127.1", "2130706433", "0300.0250.1.2", "127.0.0.1."])
def test_odd_forms_of_an_allowed_address(host: str) -> None:
    check_host(host)


@pytest.mark.parametrize("host", ["localhost", "tts", "gpu-box.lan", "voxcpm_1", "169.254.example", "face.b00c", ""])
def test_names_are_checked_when_they_are_resolved(host: str) -> None:
    check_host(host)
    with pytest.raises(AddressRefused, match="Nothing may be called there"):
        check_address(host)


@pytest.mark.parametrize("host", ["metadata.google.internal", "Metadata.Google.Internal.", "metadata.goog"])
def test_the_metadata_has_names_too(host: str) -> None:
    with pytest.raises(AddressRefused):
        check_host(host)


# The form.


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest", "the metadata of a cloud"),
        ("https://metadata.google.internal", "the metadata of a cloud"),
        ("http://0xa9fea9fe:80", "the metadata of a cloud"),
        ("http://[fe80::1%25eth0]:9880", "a link-local address"),
        ("http://[::ffff:169.254.3.4]", "a link-local address"),
        ("http://0.0.0.0:8880/v1", "a reserved address"),
    ],
)
def test_the_form_says_so_at_once(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"This address leads to {reason}"):
        validate_base_url(url)
    provider = Provider(name="Faraway", kind="openai", base_url=url)
    with pytest.raises(ValidationError) as caught:
        provider.clean()
    assert list(caught.value.message_dict) == ["base_url"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8880", "http://[::1]:9880", "http://192.168.1.2", "http://gpu", "https://api.openai.com/v1"],
)
def test_the_form_takes_other_addresses(url: str) -> None:
    validate_base_url(url)


# The connection.


class FakeResolver(AbstractResolver):
    """Answers each question for a name with its next list of addresses, and keeps to the last."""

    def __init__(self, **names: list[list[str]]) -> None:
        self._names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self._names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
async def upstream() -> OpenAIUpstream:
    return OpenAIUpstream()


@pytest.fixture
async def url(upstream: OpenAIUpstream) -> AsyncIterator[str]:
    async with serving(upstream) as address:
        yield address


def named(url: str, host: str) -> str:
    return url.replace("127.0.0.1", host)


async def list_models(client: httpx.AsyncClient, url: str) -> int:
    async with exchange(client, CONFIG, "GET", f"{url}/v1/models") as answer:
        answer.check()
        return len((await answer.json())["data"])


async def test_a_name_of_an_allowed_address_is_called(url: str) -> None:
    resolver = FakeResolver(speech_example=[["127.0.0.1"]])
    async with make_client(resolver) as client:
        assert await list_models(client, named(url, "speech.example"))
    assert resolver.asked == ["speech.example"]


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["169.254.169.254"], "the metadata of a cloud"),
        (["fe80::1%eth0", "169.254.7.7"], "a link-local address"),
        (["::ffff:0.0.0.0", "0.0.0.0"], "a reserved address"),
        (["127.0.0.1.example"], "an address that can't be checked"),
    ],
)
async def test_a_name_of_refused_addresses_only(
    url: str, upstream: OpenAIUpstream, addresses: list[str], reason: str
) -> None:
    async with make_client(FakeResolver(speech_example=[addresses])) as client:
        with pytest.raises(ProviderUnavailable) as caught:
            await list_models(client, named(url, "speech.example"))
    assert caught.value.message == f"The address of Faraway leads to {reason}, which may not be called."
    assert caught.value.permanent
    assert caught.value.__cause__ is not None
    assert upstream.requests == []


async def test_a_name_with_one_refused_address_is_called_at_the_others(url: str) -> None:
    """Names of a local network often have a link-local address beside the others."""
    for addresses in (["0.0.0.0", "127.0.0.1"], ["127.0.0.1", "fe80::1%eth0"]):
        async with make_client(FakeResolver(speech_example=[addresses])) as client:
            assert await list_models(client, named(url, "speech.example"))


async def test_a_name_whose_allowed_address_is_down_is_unreachable_for_now() -> None:
    resolver = FakeResolver(speech_example=[["127.0.0.1", "169.254.7.7"]])
    with closed_port() as port:
        async with make_client(resolver) as client:
            with pytest.raises(UpstreamUnreachable, match="nothing accepts connections"):
                await list_models(client, f"http://speech.example:{port}")


async def test_a_name_without_addresses_is_unknown(url: str) -> None:
    class Empty(FakeResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            raise OSError(None, "No such name")

    async with make_client(Empty()) as client:
        with pytest.raises(UpstreamUnreachable, match="host name is unknown"):
            await list_models(client, named(url, "speech.example"))


async def test_a_name_that_is_bound_anew_is_checked_anew(upstream: OpenAIUpstream, url: str) -> None:
    other = OpenAIUpstream()
    resolver = FakeResolver(speech_example=[["127.0.0.1"], ["0.0.0.0"]])
    async with serving(other) as other_url, make_client(resolver) as client:
        await list_models(client, named(url, "speech.example"))
        with pytest.raises(ProviderUnavailable, match="a reserved address"):
            await list_models(client, named(other_url, "speech.example"))
    assert resolver.asked == ["speech.example"] * 2
    assert (len(upstream.requests), other.requests) == (1, [])


async def test_what_was_checked_is_what_is_called(upstream: OpenAIUpstream, url: str) -> None:
    """A name that answers the check and the connection differently would slip through if it were asked twice."""
    resolver = FakeResolver(speech_example=[["127.0.0.1"], ["169.254.169.254"]])
    async with make_client(resolver) as client:
        await list_models(client, named(url, "speech.example"))
    assert len(resolver.asked) == len(upstream.requests) == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "0x0", "0.0", "[::]", "[::ffff:0.0.0.0]", "[::ffff:0:0%25lo]"])
async def test_an_address_in_digits_is_checked_where_it_is_called(
    upstream: OpenAIUpstream, url: str, host: str
) -> None:
    """All of these are this very machine, and would answer."""
    async with make_client() as client:
        with pytest.raises(ProviderUnavailable, match="The address of Faraway"):
            await list_models(client, named(url, host))
    assert upstream.requests == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "0xa9fea9fe", "255.255.255.255"])
async def test_refused_addresses_are_not_tried(host: str) -> None:
    async with make_client() as client:
        with pytest.raises(ProviderUnavailable, match="which may not be called"):
            await list_models(client, f"http://{host}:9")


async def test_many_that_wait_for_one_refused_name_all_hear_of_it(url: str) -> None:
    async with make_client(FakeResolver(speech_example=[["169.254.169.254"]])) as client:
        calls = [list_models(client, named(url, "speech.example")) for _ in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ProviderUnavailable] * 20


async def test_a_redirect_is_not_followed_wherever_it_leads(upstream: OpenAIUpstream, url: str) -> None:
    other = OpenAIUpstream()
    async with serving(other) as other_url, make_client() as client:
        for place in (other_url, "http://169.254.169.254/latest"):
            upstream.switches.refusals.append(Refusal(307, headers={"location": place}))
            with pytest.raises(UpstreamRejected, match="has moved"):
                await list_models(client, url)
    assert other.requests == []


async def test_the_systems_own_resolver_is_the_default(url: str) -> None:
    async with make_client() as client:
        assert await list_models(client, named(url, "localhost"))
        with pytest.raises(ProviderUnavailable, match="a reserved address"):
            await list_models(client, named(url, "0x0.0"))


# Proxies.


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIUpstream]:
    """The environment's proxy: it answers for whoever is asked."""
    app = OpenAIUpstream()
    async with serving(app) as address:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        yield app


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0xa9fea9fe",
        "[fe80::1]",
        "[::ffff:169.254.1.1]",
        "169.254.169.254.",
        "metadata.google.internal",
    ]
    + ["%31%36%39.254.169.254", "169。254。169。254"],
)
async def test_a_proxy_is_not_asked_for_refused_addresses(proxy: OpenAIUpstream, host: str) -> None:
    async with make_client() as client:
        with pytest.raises(ProviderUnavailable, match="which may not be called"):
            await list_models(client, f"http://{host}")
    assert proxy.requests == []


async def test_a_proxy_is_asked_for_the_rest(proxy: OpenAIUpstream) -> None:
    async with make_client() as client:
        for host in ("speech.example", "10.255.0.1", "[fd12::9]"):
            assert await list_models(client, f"http://{host}")
    assert len(proxy.requests) == 3


async def test_the_proxy_itself_may_be_where_the_administrator_put_it(
    proxy: OpenAIUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(proxy) as address:
        monkeypatch.setenv("http_proxy", named(address, "proxy.example"))
        async with make_client(FakeResolver(proxy_example=[["0.0.0.0"]])) as client:
            assert await list_models(client, "http://speech.example")
    assert len(proxy.requests) == 1
