"""A file as a book: what it is called, who wrote it, and its chapters."""

from __future__ import annotations

from pathlib import PurePath

from studio.chapters import LONGEST_TITLE, Source
from studio.decoding import decode
from studio.epub import Book, is_epub, read_epub
from studio.markdown import sections

MOST_TEXT_BYTES, MOST_EPUB_BYTES = 8 * 1024**2, 64 * 1024**2
MARKDOWN = (".md", ".markdown")


def read_book(name: str, content: bytes, encoding: str = "", *, alone: bool = True) -> Book:
    """TextFileError. `encoding` as somebody chose it, for all but EPUB. A plain text that is not `alone` is a chapter,
    named like its file."""
    if is_epub(name, content):
        return read_epub(content)
    text = decode(content, encoding, most_bytes=MOST_TEXT_BYTES).text
    path = PurePath(name)
    if path.suffix.lower() in MARKDOWN:
        parts = sections(text)
        chapters = [Source(body, heading[:LONGEST_TITLE], divided=len(parts) > 1) for heading, body in parts]
        return Book(chapters=chapters)
    return Book(chapters=[Source(text, "" if alone else path.stem[:LONGEST_TITLE])])
