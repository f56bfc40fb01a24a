"""EPUB 2 and 3: a zip of pages, with a package file that says in which order they are read.

Nothing is unpacked to the disk: what a name in the book means is looked up among the zip's own names. Every size is
known before a byte is read. Sources: EPUB 3.3, Open Packaging Format 2.0.1, OCF, NCX (ANSI/NISO Z39.86-2005).
"""

from __future__ import annotations

import posixpath
import re
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from urllib.parse import unquote

from studio.chapters import LONGEST_TITLE, Source
from studio.decoding import TextFileError, decode
from studio.markup import Tag, tokens
from studio.xhtml import Page, read_page

MEGABYTE = 1024**2
MOST_ENTRIES = 5_000
MOST_UNPACKED, MOST_PAGES, MOST_PAGE, MOST_PICTURE = (
    500 * MEGABYTE,
    32 * MEGABYTE,
    8 * MEGABYTE,
    10 * MEGABYTE,
)
# Text shrinks to a fifth, here and there to a twentieth; only a bomb shrinks more than this.
MOST_RATIO, _RATIO_COUNTS_FROM = 100, MEGABYTE
MOST_SECONDS = 20.0
_SIGNATURE = b"PK\x03\x04"
_END_BYTES = 22
# Of the directory, which would be read in whole.
_MOST_DIRECTORY_BYTES = MOST_ENTRIES * 512
_CONTAINER, _ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
_PAGE_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
# These garble fonts, which nobody hears.
_FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_DECLARED = re.compile(rb"<\?xml[^>]{0,100}encoding=[\"']([A-Za-z0-9._-]{1,30})")
# By the names that pages give them; anything else is found out as for any other file.
_ENCODINGS = {"gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932"}
_ENCODINGS |= {"shift-jis": "cp932", "euc-jp": "euc_jp", "euc-kr": "cp949", "koi8-r": "koi8_r", "iso-8859-1": "cp1252"}
_ENCODINGS |= {f"windows-{number}": f"cp{number}" for number in range(1250, 1259)}
_ENCODINGS |= {f"iso-8859-{number}": f"iso8859_{number}" for number in (2, 5, 7, 9, 15)}


class BookError(TextFileError):
    """Not a book that can be read."""


class NoBook(BookError):
    pass


class BookTooLarge(BookError):
    pass


class BookProtected(BookError):
    pass


@dataclass(slots=True)
class Book:
    """`cover`: the file as it is in the book, unchecked. `warnings`: what of it is left out."""

    title: str = ""
    author: str = ""
    language: str = ""
    cover: bytes | None = None
    chapters: list[Source] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Package:
    """`items`: path, media type and properties by id; `spine`: ids in the order of reading."""

    items: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    spine: list[str] = field(default_factory=list)
    toc: str = ""
    cover: str = ""
    titles: list[str] = field(default_factory=list)
    creators: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Of a table of contents: where a chapter begins."""

    path: str
    anchor: str
    title: str


def is_epub(name: str, content: bytes) -> bool:
    named = name.lower().endswith(".epub")
    return named or (content.startswith(_SIGNATURE) and b"application/epub+zip" in content[:100])


def read_epub(content: bytes) -> Book:
    """BookError."""
    if not content.startswith(_SIGNATURE):
        raise NoBook("This is no EPUB book, or it is damaged.")
    _check_end(content)
    with _translated(), zipfile.ZipFile(BytesIO(content)) as archive:
        return _Reader(archive).book()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise NoBook("This is no EPUB book, or it is damaged.") from error


def _check_end(content: bytes) -> None:
    """A zip ends with a record that tells how long its directory is."""
    end = content.rfind(b"PK\x05\x06", -_END_BYTES - 65_535)
    if end < 0 or len(content) < end + _END_BYTES:
        raise NoBook("This is no EPUB book, or it is damaged.")
    if int.from_bytes(content[end + 12 : end + 16], "little") > _MOST_DIRECTORY_BYTES:
        raise BookTooLarge(f"The book has more than {MOST_ENTRIES} files in it.")


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._files = {entry.filename: entry for entry in archive.infolist()}
        _check_sizes(list(archive.infolist()))
        self._left, self._until = MOST_PAGES, time.monotonic() + MOST_SECONDS
        self._protected = self._encrypted()
        self._warnings: list[str] = []

    def book(self) -> Book:
        package = self._package(self._package_path())
        pages = dict(self._pages(package))
        if not any(page.blocks for page in pages.values()):
            raise NoBook("There is no text in this book that could be read.")
        chapters = _chapters(pages, self._contents(package))
        language = next((one for one in package.languages if re.fullmatch(r"[A-Za-z0-9_-]{1,35}", one)), "")
        return Book(
            title=" ".join(package.titles[:1]),
            author=", ".join(package.creators),
            language=language,
            cover=self._cover(package),
            chapters=chapters,
            warnings=self._warnings,
        )

    def _read(self, path: str, limit: int) -> bytes:
        entry = self._files[path]
        if entry.flag_bits & 1 or path in self._protected:
            raise BookProtected(
                "This book is protected against copying (DRM): only the shop's own programs can read it."
            )
        if entry.file_size > limit:
            raise BookTooLarge(f"The file “{path[-100:]}” in the book is larger than {limit // MEGABYTE} MB.")
        return self._archive.read(entry)

    def _text(self, path: str) -> str:
        content = self._read(path, MOST_PAGE)
        self._left -= len(content)
        if self._left < 0:
            raise BookTooLarge(f"The pages of this book are larger than {MOST_PAGES // MEGABYTE} MB together.")
        if time.monotonic() > self._until:
            raise BookTooLarge("This book takes too long to read.")
        return _decoded(content)

    def _encrypted(self) -> frozenset[str]:
        """The files that only a shop's own program can read."""
        found, algorithm = set[str](), ""
        if _ENCRYPTION not in self._files:
            return frozenset()
        for tag in _tags(_decoded(self._archive.read(self._files[_ENCRYPTION]))):
            if tag.opens and tag.name == "encryptionmethod":
                algorithm = tag.attributes.get("algorithm", "")
            elif tag.opens and tag.name == "cipherreference" and algorithm not in _FONT_ALGORITHMS:
                found.add(_resolved("", tag.attributes.get("uri", ""))[0])
        return frozenset(found)

    def _package_path(self) -> str:
        if _CONTAINER in self._files:
            for tag in _tags(self._text(_CONTAINER)):
                if tag.name == "rootfile" and (path := unquote(tag.attributes.get("full-path", ""))) in self._files:
                    return path
        # Some have lost it.
        for path in self._files:
            if path.lower().endswith(".opf"):
                return path
        raise NoBook("This is no EPUB book: it has no package file, which says in which order its pages are read.")

    def _package(self, path: str) -> _Package:
        package, folder = _Package(), posixpath.dirname(path)
        words = {"title": package.titles, "creator": package.creators, "language": package.languages}
        inside: list[str] | None = None
        for token in tokens(self._text(path)):
            if isinstance(token, str):
                if inside is not None and (text := " ".join(token.split())):
                    inside.append(text[:LONGEST_TITLE])
                    inside = None
            elif token.opens:
                _take(package, token, folder)
                role = token.attributes.get("opf:role", "aut") if token.name == "creator" else "aut"
                inside = words.get(token.name) if role == "aut" else None
            else:
                inside = None
        return package

    def _pages(self, package: _Package) -> Iterator[tuple[str, Page]]:
        """The pages in the order of reading, by path."""
        skipped = {path for path, _kind, properties in package.items.values() if "nav" in properties.split()}
        order = package.spine or [one for one, (_p, kind, _q) in package.items.items() if kind in _PAGE_TYPES]
        for one in order:
            path, kind, _properties = package.items.get(one, ("", "", ""))
            if path in skipped or (kind and kind not in _PAGE_TYPES):
                continue
            if path not in self._files:
                self._warnings.append(f"“{(path or one)[-100:]}” is missing in the book.")
                continue
            skipped.add(path)
            try:
                text = self._text(path)
            except BookError:
                raise
            except (TextFileError, zipfile.BadZipFile, zlib.error):
                self._warnings.append(f"“{path[-100:]}” is damaged, and left out.")
                continue
            yield path, read_page(text)

    def _contents(self, package: _Package) -> list[_Entry]:
        """Of the table of contents in the newer way, else in the older; empty where the book has none."""
        navs = [path for path, _kind, properties in package.items.values() if "nav" in properties.split()]
        ncx = [path for path, kind, _properties in package.items.values() if kind == "application/x-dtbncx+xml"]
        ncx.insert(0, package.items.get(package.toc, ("", "", ""))[0])
        for paths, read in ((navs, _nav_entries), (ncx, _ncx_entries)):
            for path in paths:
                if path in self._files and (found := list(read(self._text(path), posixpath.dirname(path)))):
                    return found
        return []

    def _cover(self, package: _Package) -> bytes | None:
        items = package.items
        chosen = [one for one, (_path, _kind, properties) in items.items() if "cover-image" in properties.split()]
        for one in (*chosen, package.cover, "cover-image", "cover"):
            path, kind, _properties = items.get(one, ("", "", ""))
            if path in self._files and kind.startswith("image/"):
                try:
                    return self._read(path, MOST_PICTURE)
                except (BookError, zipfile.BadZipFile, zlib.error):
                    self._warnings.append("The picture of the cover can't be read, and is left out.")
                    return None
        return None


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise BookTooLarge(f"The book has more than {MOST_ENTRIES} files in it.")
    for entry in entries:
        if entry.file_size > max(_RATIO_COUNTS_FROM, MOST_RATIO * entry.compress_size):
            raise BookTooLarge(f"“{entry.filename[-100:]}” in the book is packed more tightly than any text can be.")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        raise BookTooLarge(f"Unpacked, the book is larger than {MOST_UNPACKED // MEGABYTE} MB.")


def _decoded(content: bytes) -> str:
    """TextFileError."""
    declared = _DECLARED.search(content[:200])
    encoding = _ENCODINGS.get(declared[1].decode().lower(), "") if declared else ""
    if encoding:
        try:
            return decode(content, encoding, most_bytes=MOST_PAGE).text
        except TextFileError:
            # It is written in another than it says.
            pass
    return decode(content, most_bytes=MOST_PAGE).text


def _tags(text: str) -> Iterator[Tag]:
    return (token for token in tokens(text) if isinstance(token, Tag))


def _resolved(folder: str, address: str) -> tuple[str, str]:
    """The path in the book and the anchor that an address means; both are names to look up, nothing else."""
    path, _, anchor = address.partition("#")
    return posixpath.normpath(posixpath.join(folder, unquote(path))) if path else "", unquote(anchor)


def _take(package: _Package, tag: Tag, folder: str) -> None:
    attributes = tag.attributes
    if tag.name == "item":
        path = _resolved(folder, attributes.get("href", ""))[0]
        kind, properties = attributes.get("media-type", "").lower(), attributes.get("properties", "")
        package.items.setdefault(attributes.get("id", ""), (path, kind, properties))
    elif tag.name == "itemref" and attributes.get("linear", "yes") != "no":
        package.spine.append(attributes.get("idref", ""))
    elif tag.name == "spine":
        package.toc = attributes.get("toc", "")
    elif tag.name == "meta" and attributes.get("name") == "cover":
        package.cover = attributes.get("content", "")


def _nav_entries(text: str, folder: str) -> Iterator[_Entry]:
    """The links in `<nav epub:type="toc">`."""
    inside, address, words = False, "", list[str]()
    for token in tokens(text):
        if isinstance(token, str):
            words.append(token)
        elif token.name == "nav":
            kinds = f"{token.attributes.get('epub:type', '')} {token.attributes.get('role', '')}"
            inside = token.opens and ("toc" in kinds.split() or "doc-toc" in kinds.split())
        elif token.name == "a" and inside:
            if token.opens:
                address, words = token.attributes.get("href", ""), []
            elif address and (title := " ".join("".join(words).split())):
                yield _Entry(*_resolved(folder, address), title[:LONGEST_TITLE])


def _ncx_entries(text: str, folder: str) -> Iterator[_Entry]:
    """`<navPoint>`: a label, then where it leads."""
    words: list[str] = []
    inside = False
    for token in tokens(text):
        if isinstance(token, str):
            words += [token] * inside
        elif token.name == "navpoint" and token.opens:
            words = []
        elif token.name == "text":
            inside = token.opens
        elif token.name == "content" and (title := " ".join("".join(words).split())):
            yield _Entry(*_resolved(folder, token.attributes.get("src", "")), title[:LONGEST_TITLE])
            words = []


def _chapters(pages: dict[str, Page], contents: list[_Entry]) -> list[Source]:
    """By the table of contents; where that leads nowhere by headings, and else a page is a chapter."""
    starts = _entry_starts(pages, contents)
    if len(starts) < 2:
        starts = _heading_starts(pages) or starts
    known = len(starts) > 1
    chapters: list[Source] = []
    title, texts = "", list[str]()
    for path, page in pages.items():
        for number, block in enumerate(page.blocks):
            if (path, number) in starts:
                chapters.append(Source("\n\n".join(texts), title, divided=known))
                title, texts = starts[path, number], []
            texts.append(block.text)
    chapters.append(Source("\n\n".join(texts), title, divided=known))
    return [chapter for chapter in chapters if chapter.text.strip()]


def _entry_starts(pages: dict[str, Page], contents: list[_Entry]) -> dict[tuple[str, int], str]:
    starts: dict[tuple[str, int], str] = {}
    for entry in contents:
        page = pages.get(entry.path)
        if page is None or not page.blocks:
            continue
        place = entry.path, min(page.anchors.get(entry.anchor, 0), len(page.blocks) - 1)
        # A part and its first chapter may begin at the same place.
        title = f"{starts[place]} · {entry.title}" if place in starts else entry.title
        starts[place] = title[:LONGEST_TITLE]
    return starts


def _heading_starts(pages: dict[str, Page]) -> dict[tuple[str, int], str]:
    """The largest headings of which there are several."""
    for level in (1, 2, 3):
        starts = {
            (path, number): " ".join(block.text.split())[:LONGEST_TITLE]
            for path, page in pages.items()
            for number, block in enumerate(page.blocks)
            if 0 < block.heading <= level
        }
        if len(starts) > 1:
            return starts
    return {}
