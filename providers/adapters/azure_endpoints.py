"""Where Azure's speech service is, from whatever a user copies out of the portal or the documents."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPEAK_PATH = "/cognitiveservices/v1"
_VOICES_PATH = "/cognitiveservices/voices/list"
_REGION = re.compile(r"[A-Za-z][A-Za-z0-9 ]*")
_SPEECH_HOST = re.compile(r"([a-z0-9]+)\.(?:tts|stt|s2s)\.speech\.(microsoft\.com|azure\.us|azure\.cn)")
_GATEWAY_HOST = re.compile(r"([a-z0-9]+)\.api\.cognitive\.(microsoft\.com|microsoft\.us|azure\.cn)")
_CUSTOM_VOICE_HOST = re.compile(r"([a-z0-9]+)\.voice\.speech\.(microsoft\.com|azure\.us|azure\.cn)")
_CUSTOM_DOMAIN = re.compile(r"[a-z0-9-]+\.cognitiveservices\.azure\.(?:com|us|cn)")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """`fallback` is tried where the first answers 404."""

    speak: str
    voices: str
    fallback: Endpoints | None = None


def endpoints(given: str) -> Endpoints:
    """Of a region, of any of the service's own addresses, or of a container or proxy, whose address stays as it is."""
    given = given.strip()
    if _REGION.fullmatch(given):
        return _in_region(given)
    scheme, found, rest = given.partition("://")
    if not found:
        scheme, rest = "https", given
    authority, _, path = rest.partition("/")
    host = authority.partition(":")[0].lower()
    if match := _SPEECH_HOST.fullmatch(host):
        return _in_cloud(match[1], match[2])
    if match := _GATEWAY_HOST.fullmatch(host):
        return _in_cloud(match[1], match[2].replace("microsoft.us", "azure.us"))
    if match := _CUSTOM_VOICE_HOST.fullmatch(host):
        # The list does not name custom voices, but it proves the key.
        return Endpoints(f"https://{host}/{path}", _in_cloud(match[1], match[2]).voices)
    if _CUSTOM_DOMAIN.fullmatch(host):
        plain = _beneath(f"https://{host}")
        return Endpoints(f"https://{host}/tts{_SPEAK_PATH}", f"https://{host}/tts{_VOICES_PATH}", plain)
    return _elsewhere(given if found else f"{scheme}://{given}")


def _in_region(name: str) -> Endpoints:
    region = name.replace(" ", "").lower()
    domain = "microsoft.com"
    if region.startswith("usgov"):
        domain = "azure.us"
    elif region.startswith("china"):
        domain = "azure.cn"
    return _in_cloud(region, domain)


def _in_cloud(region: str, domain: str) -> Endpoints:
    return _beneath(f"https://{region}.tts.speech.{domain}")


def _beneath(base: str) -> Endpoints:
    return Endpoints(base + _SPEAK_PATH, base + _VOICES_PATH)


def _elsewhere(address: str) -> Endpoints:
    address, question, query = address.partition("#")[0].partition("?")
    base = address.rstrip("/").removesuffix(_SPEAK_PATH).removesuffix(_VOICES_PATH).rstrip("/")
    return Endpoints(base + _SPEAK_PATH + question + query, base + _VOICES_PATH + question + query)
