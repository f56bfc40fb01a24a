"""What must not reach a caller in a provider's own words: keys, recordings, and places on the provider's disk; nor the
log: keys and recordings.

Standard library only. Every pattern takes linear time, since the words may be anybody's.
"""

from __future__ import annotations

import re

_KEY, _DATA, _PATH = "[key]", "[data]", "[path]"

_DATA_URL = re.compile(
    r"\bdata:(?:[\w.+-]{1,40}/[\w.+-]{1,60}|(?=;base64,))(?:;[\w.+=-]{1,60}){0,4},[^\s\"'<>)\]}]*", re.IGNORECASE
)
# A voice such as sk-SK-LukasNeural is no key, nor is the name of a router's maker.
_PREFIXED_KEY = re.compile(r"\bsk-(?![Ss][Kk]\b)[\w*-]{6,}|\btp-(?=[A-Za-z_*-]{0,80}\d)[\w*-]{8,}|\bAIza[\w-]{16,}")
_CREDENTIALS = (
    re.compile(r"\b((?:Bearer|Basic)\s+)([\w.~+/=-]+)", re.IGNORECASE),
    re.compile(
        r"\b((?:authorization|(?:api|subscription|access|auth)[-_ ]?(?:key|token))[\"']?:\s*[\"']?)([\w.~+/=-]+)",
        re.IGNORECASE,
    ),
)
_PARAMETER = re.compile(
    r"\b([\w-]{0,40}(?:key|token|secret|password|signature|sig)=[\"']?)[^\s\"'&<>,;)\]}\[]+", re.IGNORECASE
)
_ADDRESS_PASSWORD = re.compile(r"(://[^\s/:@\"'<>]{0,200}:)[^\s/@\"'<>]{1,300}(?=@)")
_LONG_RUN = re.compile(r"[A-Za-z0-9+/_-]{32,}=*")
_RANDOM_CHARACTERS = 16

_PLACES = "app|content|data|dev|etc|home|kaggle|lib|media|mnt|nix|opt|private|proc|root|run|srv|sys|tmp|usr|var"
_PLACES += "|workspace|Library|Users|Volumes"
_FILES = "bin|ckpt|flac|gguf|log|mp3|ogg|onnx|pt|pth|py|safetensors|so|toml|wav|yaml|yml"
# Not in the middle of a URL or of a relative path.
_START = r"(?:\bfile://|(?<![\w/.~%-]))"
_PATHS = (
    re.compile(rf"(?<=[\"'`“‘])(?:file://)?(?:/(?:{_PLACES})/|[A-Za-z]:[\\/]|\\\\)[^\"'`”’\r\n]*"),
    # Windows: a space belongs to the path where backslashes follow it.
    re.compile(r"(?:\b[A-Za-z]:[\\/]|\\\\(?=[\w.-]+\\))(?:[^\s\"'`<>|,;)\]}]|[ ](?=[^\s\"'`<>|]*\\))*"),
    re.compile(rf"{_START}/(?:{_PLACES})/[^\s\"'`<>|,;)\]}}]*"),
    re.compile(rf"{_START}/(?:[\w.@+-]+/)+[\w.@+-]*\.(?:{_FILES})\b"),
)


def redacted(text: str) -> str:
    """The text with `[key]`, `[data]` or `[path]` in the place of each; words, URLs and their paths stay."""
    text = _without_named_secrets(text)
    for path in _PATHS:
        text = path.sub(_PATH, text)
    return _LONG_RUN.sub(_without_random_part, text)


def without_secrets(text: str) -> str:
    """The text without keys, passwords and recordings; for our own log, where places on our disk are of use."""
    return _LONG_RUN.sub(_without_random_part, _without_named_secrets(text))


def _without_named_secrets(text: str) -> str:
    text = _DATA_URL.sub(_DATA, text)
    text = _ADDRESS_PASSWORD.sub(rf"\1{_KEY}", text)
    text = _PREFIXED_KEY.sub(_KEY, text)
    for credentials in _CREDENTIALS:
        text = credentials.sub(_without_credentials, text)
    return _PARAMETER.sub(rf"\1{_KEY}", text)


def _without_credentials(match: re.Match[str]) -> str:
    """“Bearer token is missing” is left as it is."""
    before, found = match.groups()
    word = found.rstrip(".-")
    return match[0] if word.isalpha() and word[1:] == word[1:].lower() else before + _KEY


def _without_random_part(match: re.Match[str]) -> str:
    """Up to the first segment that no person chose; a name such as `audio-48khz-192kbitrate-mono-mp3` has none."""
    end = 0
    for segment in re.split(r"(?<=[/_-])", match[0]):
        if len(segment) > _RANDOM_CHARACTERS and re.search(r"\d", segment) and re.search(r"[A-Za-z]", segment):
            return match[0][:end] + _KEY
        end += len(segment)
    return match[0]
