"""What `make` installs: pinned, hashed, from no named place, and what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)(?: ; [^\\]+)?")


def entries(file: Path) -> list[str]:
    """One string for each requirement, its continued lines joined."""
    return file.read_text().replace("\\\n", " ").strip().splitlines()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in entries(file):
        match = PIN.match(entry)
        assert match, entry
        found.setdefault(canonical(match[1]), set()).add(match[2])
    return found


def asked_for(*groups: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = project["project"]["dependencies"] + [
        line for name in groups for line in project["dependency-groups"][name]
    ]
    return {canonical(re.split(r"[\[<>=;! ]", line)[0]) for line in lines}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_requirement_is_one_version_with_hashes(file: Path) -> None:
    assert entries(file)
    for entry in entries(file):
        assert re.fullmatch(PIN.pattern + r"(\s+--hash=sha256:[0-9a-f]{64})+\s*", entry), entry[:100]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_place_is_named(file: Path) -> None:
    text = file.read_text()
    assert re.findall(r"://|--(?:extra-)?index|--find-links|--trusted-host| @ |file:|^-", text, re.MULTILINE) == []


def test_all_that_is_asked_for_is_pinned() -> None:
    assert asked_for() <= pins(ROOT / "requirements" / "base.txt").keys()
    assert asked_for("test", "check") <= pins(ROOT / "requirements" / "dev.txt").keys()


def test_tests_run_on_what_is_delivered() -> None:
    base, dev = pins(ROOT / "requirements" / "base.txt"), pins(ROOT / "requirements" / "dev.txt")
    assert {name: dev.get(name) for name in base} == base


def test_nothing_heavy_comes_along() -> None:
    heavy = {"torch", "tensorflow", "jax"}
    for file in FILES:
        assert not heavy & pins(file).keys()
        assert not [name for name in pins(file) if name.startswith("nvidia-")]
