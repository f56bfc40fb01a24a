"""Programs that Neiroha is measured beside, each installed once into an environment of its own, out of Neiroha's."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import BenchmarkError

INSTALL_SECONDS = 1200.0
GRANIAN = ("granian>=2.8,<3",)
LITELLM = ("litellm[proxy]",)


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "neiroha-benchmarks"


def installed(name: str, packages: Sequence[str], *, beside_ours: bool = False) -> Path:
    """The folder of its programs. `beside_ours`: it sees what Neiroha is installed with. BenchmarkError if it can't be.

    Failures are remembered by nobody: the next run tries again.
    """
    mark = hashlib.sha256(repr((packages, sys.version, beside_ours)).encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{mark}"
    if not (folder / "complete").exists():
        _run(name, [sys.executable, "-m", "venv", "--clear", str(folder)])
        python = folder / "bin" / "python"
        if beside_ours:
            _show_ours(folder)
        _run(name, [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        (folder / "complete").touch()
    return folder / "bin"


def _show_ours(folder: Path) -> None:
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "neiroha.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _run(name: str, command: Sequence[str]) -> None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{name} could not be installed in {INSTALL_SECONDS:.0f} seconds.") from error
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise BenchmarkError(f"{name} could not be installed: {last}")
