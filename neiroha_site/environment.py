"""The process's environment, read loudly: a value that can't be understood stops the start with one clear line."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def env_text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def env_bool(name: str, default: bool = False) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def env_choice(name: str, choices: Sequence[str]) -> str:
    """One of them; the first where nothing is set."""
    value = env_text(name).lower() or choices[0]
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {value!r}.")
    return value


def env_int(name: str, minimum: int, maximum: int) -> int | None:
    value = env_text(name)
    if not value:
        return None
    if not value.isascii() or not value.isdigit() or not minimum <= int(value) <= maximum:
        raise ImproperlyConfigured(f"{name} must be a whole number from {minimum} to {maximum}, not {value!r}.")
    return int(value)


def env_list(name: str) -> list[str]:
    return [item.strip() for item in env_text(name).split(",") if item.strip()]


def env_secret(name: str) -> str:
    """NAME itself, or the content of the file that NAME_FILE names; both is a mistake."""
    value, file_name = os.environ.get(name, ""), env_text(f"{name}_FILE")
    if value and file_name:
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if not file_name:
        return value.strip()
    try:
        return Path(file_name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE: can't read {file_name}: {error}") from error


def wants_tracing(wish: str, *endpoints: str) -> bool:
    """Whether traces are exported: as `wish` says, or where there are an endpoint to send them to and the packages."""
    if wish == "false" or (wish == "auto" and not any(endpoints)):
        return False
    installed = all(map(_is_there, ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")))
    if wish == "true" and not installed:
        raise ImproperlyConfigured("NEIROHA_OTEL needs the extra [telemetry]: pip install 'neiroha[telemetry]'.")
    return installed


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def kept_secret(path: Path, make: str) -> str:
    """The secret in `path`, readable by its owner only; made when missing: `make` is "key" or "fernet"."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(f"Can't read {path}: {error.strerror}.") from error
    value = Fernet.generate_key().decode() if make == "fernet" else secrets.token_urlsafe(50)
    return _keep(path, value)


def _keep(path: Path, value: str) -> str:
    """Write beside and link into place, so that two processes that start at once agree on one value."""
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(value + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"Can't write to the data folder {path.parent.parent}: {error.strerror}."
            " Set NEIROHA_DATA_DIR to a folder that this user may write to."
        ) from error
