"""Pin and hash what pyproject.toml asks for, for every system and Python it supports; `make requirements` runs it.

Pins that still fit stay as they are. Arguments go to uv: `--upgrade` takes the newest, `--upgrade-package NAME` one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PYPROJECT = "pyproject.toml"
OPTIONS = ["--universal", "--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--quiet"]
OLDEST_PYTHON = "3.12"
# What tests need of what is optional for users.
EXTRAS = ["--extra", "scale", "--extra", "telemetry"]


def pin(output: str, *sources: str) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, "--python-version", OLDEST_PYTHON]
    subprocess.run(
        [*command, *sources, "--output-file", f"requirements/{output}", *sys.argv[1:]], cwd=FOLDER.parent, check=True
    )


pin("base.txt", PYPROJECT)
pin("scale.txt", PYPROJECT, "--extra", "scale", "--extra", "telemetry", "--constraints", "requirements/base.txt")
pin("dev.txt", PYPROJECT, *EXTRAS, "--group", "test", "--group", "check", "--constraints", "requirements/scale.txt")
pin("compile.txt", "requirements/compile.in")
