"""Books that tests make: EPUB 2 and 3, whole and broken, and long texts in English and Chinese."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Mapping
from io import BytesIO

from PIL import Image

CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
FOLDER = "OEBPS/"
NCX_TYPE, PAGE_TYPE = "application/x-dtbncx+xml", "application/xhtml+xml"
SOME_PAGES = {
    "one.xhtml": "<h1>The Rain</h1><p>It rained. “Come in,” she said.</p>",
    "two.xhtml": "<h1>The Sun</h1><p>It shone.</p>",
}


def picture(form: str = "PNG", size: tuple[int, int] = (60, 90)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, "teal").save(file, form)
    return file.getvalue()


def page(body: str, *, head: str = "<title>Book</title>") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">'
        f"<head>{head}</head><body>{body}</body></html>"
    )


def nav(*links: tuple[str, str]) -> str:
    items = "".join(f'<li><a href="{address}">{title}</a></li>' for address, title in links)
    return page(f'<nav epub:type="landmarks"><a href="x">No</a></nav><nav epub:type="toc"><ol>{items}</ol></nav>')


def ncx(*links: tuple[str, str]) -> str:
    points = "".join(
        f'<navPoint id="p{number}"><navLabel><text>{title}</text></navLabel><content src="{address}"/></navPoint>'
        for number, (address, title) in enumerate(links)
    )
    title = "<docTitle><text>Book</text></docTitle>"
    return f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/">{title}<navMap>{points}</navMap></ncx>'


def package(
    pages: Mapping[str, str],
    *,
    metadata: str = "<dc:title>A Book</dc:title><dc:creator>Ann Author</dc:creator><dc:language>en</dc:language>",
    items: str = "",
    toc: str = "",
) -> str:
    manifest = "".join(
        f'<item id="{name}" href="{name}" media-type="{PAGE_TYPE}"/>' for name in pages if name != "nav.xhtml"
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in pages if name != "nav.xhtml")
    if "nav.xhtml" in pages:
        manifest += f'<item id="nav" href="nav.xhtml" media-type="{PAGE_TYPE}" properties="nav"/>'
    attribute = f' toc="{toc}"' if toc else ""
    return (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">{metadata}</metadata>'
        f"<manifest>{manifest}{items}</manifest><spine{attribute}>{spine}</spine></package>"
    )


def zipped(files: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def epub(
    pages: Mapping[str, str] | None = None,
    *,
    contents: tuple[tuple[str, str], ...] = (),
    old: bool = False,
    files: Mapping[str, str | bytes] | None = None,
    **values: str,
) -> bytes:
    """`pages` are bodies by name, in the order of reading; `contents`: addresses and titles, in a navigation page or,
    where `old`, in an NCX; `files` by their whole names, in place of what is made otherwise."""
    made = dict(SOME_PAGES if pages is None else pages)
    stored: dict[str, str | bytes] = {"META-INF/container.xml": CONTAINER}
    items = values.pop("items", "")
    if contents and old:
        stored[FOLDER + "toc.ncx"] = ncx(*contents)
        items += f'<item id="ncx" href="toc.ncx" media-type="{NCX_TYPE}"/>'
        values["toc"] = "ncx"
    stored |= {FOLDER + name: page(body) for name, body in made.items()}
    if contents and not old:
        made["nav.xhtml"] = ""
        stored[FOLDER + "nav.xhtml"] = nav(*contents)
    stored[FOLDER + "content.opf"] = package(made, items=items, **values)
    return zipped({name: one for name, one in (stored | dict(files or {})).items() if one})


_ENGLISH = [
    *("the", "a", "morning", "river", "house", "old", "window", "garden", "came", "went", "slowly", "under", "against"),
    *("never", "people", "thought", "nothing", "winter", "light", "door", "said", "her", "eyes", "road", "stranger"),
]
_CHINESE = (
    "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天"
)


def english_novel(size: int, seed: int = 1) -> str:
    """About so many bytes, in chapters with headings, with dialogue in double quotes."""
    luck, parts, length = random.Random(seed), list[str](), 0

    def sentence() -> str:
        return " ".join(luck.choices(_ENGLISH, k=luck.randint(8, 24))).capitalize()

    while length < size:
        if len(parts) % 60 == 0:
            parts.append(f"Chapter {len(parts) // 60 + 1}")
        said = f"“{sentence()},” she said. {sentence()}."
        parts.append(luck.choice([f"{sentence()}. {sentence()}. {sentence()}.", said, f"“{sentence()}?”"]))
        length += len(parts[-1].encode()) + 2
    return "\n\n".join(parts)


def chinese_novel(size: int, seed: int = 1) -> str:
    """The same in Chinese, a paragraph a line."""
    luck, parts, length = random.Random(seed), list[str](), 0

    def sentence() -> str:
        return "".join(luck.choices(_CHINESE, k=luck.randint(8, 32)))

    while length < size:
        if len(parts) % 60 == 0:
            parts.append(f"第{len(parts) // 60 + 1}章 {sentence()[:4]}")
        said = f"“{sentence()}，”她说，“{sentence()}。”"
        parts.append("　　" + luck.choice([f"{sentence()}，{sentence()}。{sentence()}。", said, f"“{sentence()}？”"]))
        length += len(parts[-1].encode()) + 1
    return "\n".join(parts)
