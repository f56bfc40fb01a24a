"""Secrets encrypted at rest."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

if TYPE_CHECKING:
    _TextField = models.TextField[Any, Any]
else:
    _TextField = models.TextField


class SecretUnreadable(Exception):
    """A stored secret can't be decrypted with any of NEIROHA_FIELD_KEYS."""


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "NEIROHA_FIELD_KEYS must hold Fernet keys (32 bytes, URL-safe base64), separated by commas."
        ) from error


def encrypt(plain: str) -> str:
    return _cipher(tuple(settings.FIELD_KEYS)).encrypt(plain.encode()).decode()


def decrypt(token: str) -> str:
    try:
        return _cipher(tuple(settings.FIELD_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable(
            "A stored key can't be decrypted: NEIROHA_FIELD_KEYS lacks the key it was written with."
        ) from error


class EncryptedTextField(_TextField):
    """Text that the database holds encrypted with the first of FIELD_KEYS; any of them reads it.

    Reading with a wrong key raises SecretUnreadable; it never yields the ciphertext. Empty stays empty.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        return decrypt(value) if value else value

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name in ("isnull",):
            return super().get_lookup(lookup_name)
        return None  # ciphertexts differ each time: a search could only lie
