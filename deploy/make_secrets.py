"""`python3 deploy/make_secrets.py [FOLDER]`: the secrets of the compose file, each made once and never replaced.

The folder is for its owner only. The files in it are readable by all, since in the containers other users read them.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "secrets"


def make(folder: Path) -> list[str]:
    """The names of those that were missing."""
    folder.mkdir(mode=0o700, exist_ok=True)
    made = [
        _keep(folder / "secret_key", secrets.token_urlsafe(50)),
        # As Fernet wants it: 32 bytes.
        _keep(folder / "field_keys", base64.urlsafe_b64encode(os.urandom(32)).decode()),
        _keep(folder / "admin_password", secrets.token_urlsafe(18)),
        _keep(folder / "postgres_password", secrets.token_urlsafe(32)),
        _keep(folder / "redis_conf", f"requirepass {secrets.token_urlsafe(32)}"),
    ]
    password, redis = (_read(folder / name) for name in ("postgres_password", "redis_conf"))
    made.append(_keep(folder / "database_url", f"postgresql://neiroha:{password}@postgres:5432/neiroha"))
    made.append(_keep(folder / "redis_url", f"redis://:{redis.removeprefix('requirepass ')}@redis:6379/0"))
    return [name for name in made if name]


def _keep(path: Path, value: str) -> str:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "w") as file:
            os.fchmod(file.fileno(), 0o444)
            file.write(value + "\n")
    except FileExistsError:
        return ""
    return path.name


def _read(path: Path) -> str:
    return path.read_text().strip()


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    print(f"{chosen}: made {', '.join(make(chosen)) or 'nothing: all are there'}")
