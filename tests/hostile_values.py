"""What people send who mean harm, err, or have a broken program: for each kind of field of a form."""

from __future__ import annotations

import io
import zipfile

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.admin_pages import picture, recording
from tests.html_forms import Field

type Sent = str | bytes | SimpleUploadedFile

INJECTED = "nr-injected"
MARKUP = (
    f'"\'><{INJECTED} {INJECTED}="1">&amp;</script></textarea></title><script {INJECTED}>%s %(a)d {{0.x}} {{{{ 1 }}}}'
)
# Too long for any field, and nested beyond what a parser of JSON takes.
HUGE = "[" * 120_000
NUL = "a\x00b"
CONTROLS = "\x07\x1b[31m\u202ea\u2028\ufffe\r\nX-Injected: yes".encode() + b"\xff\xfe\xed\xa0\x80\xc0\xaf"
BEYOND = "9" * 40
# What each kind of field gets in each round; None leaves it out.
ROUNDS = 6
NUMBERS: list[Sent | None] = ["", BEYOND, "1e999", "NaN", "-1", "٣²"]
TYPED: list[Sent | None] = ["", HUGE, MARKUP, NUL, CONTROLS, " \t\u3000\r\n"]
CHOSEN: list[Sent | None] = [None, BEYOND, MARKUP, NUL, "²", "-1"]


def hostile(field: Field, turn: int) -> list[Sent]:
    """All that is sent for the field in this round."""
    if field.kind == "file":
        return files()[turn : turn + 1]
    values = NUMBERS if field.kind == "number" else TYPED if field.typed else CHOSEN
    value = values[turn]
    if value is None:
        return []
    if value == BEYOND and field.name.endswith("_FORMS"):
        # Of more, the page draws two thousand, which takes long.
        return ["40"]
    # Twice is what no single choice expects.
    return [*field.options[:2], value] if field.kind in ("checkbox", "radio") else [value]


def files() -> list[Sent]:
    """None of them is what any field asks for: only the content tells."""
    contents = {
        "empty.wav": b"",
        "page.wav": b"<html><script>alert(1)</script>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "half.wav": recording()[:60],
        "half.png": picture((40, 40))[:50],
        f"../../{MARKUP}{'x' * 500}.zip": _zip()[:40],
        "climbing.zip": _zip(),
    }
    return [MARKUP, *(SimpleUploadedFile(name, content) for name, content in contents.items())]


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../manifest.json", "{}")
        packed.writestr("bank.json", HUGE)
    return file.getvalue()
