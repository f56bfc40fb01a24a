"""What people send who mean harm, err, or have a broken program: for each kind of field of a form."""

from __future__ import annotations

import io
import zipfile



from django.core.files.uploadedfile import SimpleUploadedFile

from tests.admin_pages import picture, recording
from tests.html_forms import Field

type Sent = str | bytes | SimpleUploadedFile

INJECTED = "nr-injected"
MARKUP = f"\"'><{INJECTED} {INJECTED}=\"1\">&amp;</script></textarea></title><script {INJECTED}>%s %(a)d {{0.x}} {{{{ 1 }}}}"
LONG = "ä" * 120_000
NUL = "a\x00b"
CONTROLS = "\x07\x1b[31m\u202ea\u2028\ufffe\r\nX-Injected: yes"
NOT_UTF8 = b"\xff\xfe\xed\xa0\x80\xc0\xaf"
NESTED = "[" * 50_000
BEYOND = "9" * 40
TEXTS: dict[str, list[Sent]] = {
    "nothing": [],
    "empty": [""],
    "blank": [" \t\u3000\r\n"],
    "huge": [LONG],
    "markup": [MARKUP],
    "NUL": [NUL],
    "controls": [CONTROLS],
    "no UTF-8": [NOT_UTF8],
    "nested": [NESTED],
    "negative": ["-1"],
    "no number": ["NaN"],
    "infinite": ["1e999"],
    "beyond 64 bits": [BEYOND],
    "other digits": ["٣²"],
    "twice": ["1", MARKUP],
}
SHARP = {
    "number": ("empty", "no number", "infinite", "beyond 64 bits", "negative"),
    "typed": ("empty", "huge", "markup", "NUL"),
    "chosen": ("nothing", "beyond 64 bits", "other digits", "markup"),
    "ticked": ("twice", "nothing"),
}


def sharp(field: Field) -> dict[str, list[Sent]]:
    """The values that go through the field's own parsing rather than around it."""
    if field.kind == "file":
        return files(field)
    kind = field.kind if field.kind == "number" else "typed" if field.typed else "chosen"
    names = SHARP["ticked" if field.kind == "checkbox" else kind]
    return {name: TEXTS[name] for name in names}


def files(field: Field) -> dict[str, list[Sent]]:
    """None of them is what any field asks for; the longest names and wrong types are told by nothing but content."""
    contents = {
        "an empty file": b"",
        "garbage": bytes(range(256)) * 8,
        "a page": b"<html><script>alert(1)</script>",
        "a drawing that runs": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "half a recording": recording()[:60],
        "half a picture": picture((40, 40))[:50],
        "half an archive": _zip()[:40],
        "an archive that climbs": _zip(),
        "NUL and no UTF-8": b"\x00\xff" * 50,
    }
    found: dict[str, list[Sent]] = {
        what: [SimpleUploadedFile(f"{what}.wav", content, "audio/wav")] for what, content in contents.items()
    }
    found["a bad name"] = [SimpleUploadedFile(f"../../{MARKUP}{'x' * 500}.png", b"\x89PNG", "image/png")]
    found["words"] = [MARKUP]
    return found


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../manifest.json", "{}")
        packed.writestr("bank.json", NESTED)
    return file.getvalue()
