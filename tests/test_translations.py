"""Translations: complete, compiled, and collected by the way that the Makefile goes."""

from __future__ import annotations

import ast
import gettext
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import unfold
from django.conf import settings
from django.utils.translation import to_locale

from neiroha_site.shell_texts import TEXTS

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("providers", "banks", "studio", "api", "neiroha_site")
LOCALES = [to_locale(code) for code, _name in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[#0 +-]*[\d.]*[diouxXeEfFgGcrsa%]|\{\w*\}")

Entry = tuple[str, list[str], bool]


def entries(text: str) -> dict[tuple[str | None, str], Entry]:
    """(context, msgid) -> (msgid_plural, translations, fuzzy) of a .po file; obsolete ones are left out."""
    found: dict[tuple[str | None, str], Entry] = {}
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("#")]
        fields = dict[str, str]()
        name = ""
        for line in lines:
            if line.startswith('"'):
                fields[name] += ast.literal_eval(line)
            else:
                name, _space, value = line.partition(" ")
                fields[name] = ast.literal_eval(value)
        if "msgid" in fields:
            strings = [value for name, value in fields.items() if name.startswith("msgstr")]
            fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
            key = (fields.get("msgctxt"), fields["msgid"])
            found[key] = (fields.get("msgid_plural", ""), strings, fuzzy)
    return found


def catalogue(locale: str, ending: str) -> Path:
    return ROOT / "locale" / locale / "LC_MESSAGES" / f"django.{ending}"


def translated(locale: str) -> dict[tuple[str | None, str], Entry]:
    if not catalogue(locale, "po").exists():
        pytest.skip(f"there is no translation into {locale} yet")
    return entries(catalogue(locale, "po").read_text())


def makefile_words(name: str) -> list[str]:
    line = re.search(rf"^{name} := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line, name
    return shlex.split(line[1])


def test_the_makefile_collects_every_language() -> None:
    words = makefile_words("LANGUAGES")
    assert words == [word for locale in LOCALES for word in ("-l", locale)]
    assert LOCALES == ["zh_Hans"]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_text_is_translated(locale: str) -> None:
    found = translated(locale)
    assert [key for key, (_plural, strings, fuzzy) in found.items() if fuzzy or not all(strings)] == []
    assert len(found) > 500


@pytest.mark.parametrize("locale", LOCALES)
def test_a_translation_fills_in_what_the_text_does(locale: str) -> None:
    """A plural form may spell its number out; nothing may name what is not given."""
    wrong = []
    for (_context, text), (plural, strings, _fuzzy) in translated(locale).items():
        given = sorted(PLACEHOLDER.findall(plural or text))
        if text and any(sorted(PLACEHOLDER.findall(string)) != given for string in strings):
            wrong.append(text)
    assert wrong == []


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_is_written(locale: str) -> None:
    expected = dict[str | tuple[str, int], str]()
    for (context, text), (plural, strings, _fuzzy) in translated(locale).items():
        key = text if context is None else f"{context}\x04{text}"
        expected |= {(key, number): string for number, string in enumerate(strings)} if plural else {key: strings[0]}
    with catalogue(locale, "mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    for texts in (compiled, expected):
        texts.pop("")  # the header, of which not all is compiled
    assert compiled == expected, "run make messages"


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code in which the Makefile's commands have run."""
    if shutil.which("xgettext") is None:
        pytest.skip("needs gettext")
    copy = tmp_path_factory.mktemp("collected")
    for folder in (*LAYERS, "templates", "locale"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "manage.py", copy)
    (copy / "locale").mkdir(exist_ok=True)
    for command in (["makemessages", *makefile_words("COLLECT")], ["compilemessages", "--verbosity", "0"]):
        # The layout is one; nothing but what is asked for may be printed on the error output.
        subprocess.run(
            [sys.executable, "manage.py", *command, *makefile_words("LANGUAGES")],
            cwd=copy,
            env={"PATH": "/usr/bin:/bin", "NEIROHA_DATA_DIR": str(copy / "data"), "HOME": str(copy)},
            check=True,
            capture_output=True,
            timeout=240,
        )
    return copy


@pytest.mark.parametrize("locale", LOCALES)
def test_texts_of_code_templates_and_shell_are_collected(collected: Path, locale: str) -> None:
    written = collected / "locale" / locale / "LC_MESSAGES" / "django.po"
    texts = {text for _context, text in entries(written.read_text())}
    assert {"Audit trail", "Your account", *TEXTS} <= texts
    assert "Changed the own password." in texts, "what is translated only when it is shown"
    assert str(ROOT) not in written.read_text()


@pytest.mark.parametrize("locale", LOCALES)
def test_no_text_is_missing_from_the_translation(collected: Path, locale: str) -> None:
    known = translated(locale)
    wanted = entries((collected / "locale" / locale / "LC_MESSAGES" / "django.po").read_text())
    assert wanted.keys() - known.keys() == set(), "run make messages"


def test_the_shell_still_has_its_texts() -> None:
    folder = Path(unfold.__file__).parent
    source = "".join(path.read_text() for ending in ("py", "html") for path in folder.rglob(f"*.{ending}"))
    assert [text for text in TEXTS if text not in source] == []
