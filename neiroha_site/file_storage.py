"""Where files live, from the environment: the data folder, or a bucket of an S3-compatible service."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from neiroha_site.addresses import need
from neiroha_site.environment import env_secret, env_text

ADDRESSING = ("path", "virtual")
_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}")


def from_environment() -> dict[str, Any]:
    """The storage as Django's STORAGES names it."""
    bucket, endpoint = env_text("NEIROHA_S3_BUCKET"), env_text("NEIROHA_S3_ENDPOINT")
    if not bucket:
        if endpoint:
            raise ImproperlyConfigured("NEIROHA_S3_ENDPOINT is set, but NEIROHA_S3_BUCKET names no bucket.")
        return {"BACKEND": "banks.storage.LocalFiles"}
    need("boto3", "NEIROHA_S3_BUCKET")
    need("storages", "NEIROHA_S3_BUCKET")
    if not _BUCKET.fullmatch(bucket):
        raise ImproperlyConfigured(f"NEIROHA_S3_BUCKET: {bucket!r} can't be the name of a bucket.")
    return {"BACKEND": "banks.object_storage.ObjectFiles", "OPTIONS": _options(bucket, endpoint)}


def _options(bucket: str, endpoint: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bucket_name": bucket,
        "region_name": env_text("NEIROHA_S3_REGION") or None,
        "location": env_text("NEIROHA_S3_PREFIX").strip("/"),
        "addressing_style": _addressing(endpoint),
    }
    if endpoint:
        options["endpoint_url"] = _address(endpoint)
    key, secret = env_secret("NEIROHA_S3_ACCESS_KEY"), env_secret("NEIROHA_S3_SECRET_KEY")
    if bool(key) != bool(secret):
        raise ImproperlyConfigured("Set both NEIROHA_S3_ACCESS_KEY and NEIROHA_S3_SECRET_KEY, or neither.")
    if key:
        # A token that the process has for another key would spoil this one.
        options |= {"access_key": key, "secret_key": secret, "security_token": None}
    return options


def _address(endpoint: str) -> str:
    try:
        url = urlsplit(endpoint)
        _ = url.port
    except ValueError:
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise ImproperlyConfigured("NEIROHA_S3_ENDPOINT must be an address such as https://s3.example.com.")
    return endpoint.rstrip("/")


def _addressing(endpoint: str) -> str:
    """Most services of one's own know the bucket only as a path; Amazon's wants it in the name of the host."""
    chosen = env_text("NEIROHA_S3_ADDRESSING")
    if not chosen:
        return "path" if endpoint else "auto"
    if chosen not in ADDRESSING:
        raise ImproperlyConfigured(f"NEIROHA_S3_ADDRESSING must be path or virtual, not {chosen!r}.")
    return chosen
