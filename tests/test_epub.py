"""Books in EPUB: what is read of them, and what of hostile and broken ones is not."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO

import pytest

from studio import epub as limits
from studio.decoding import TextFileError
from studio.epub import BookError, BookProtected, BookTooLarge, is_epub, read_epub
from studio.markup import Tag, tokens
from studio.xhtml import Block, read_page
from tests.books import FOLDER, SOME_PAGES, epub, page, picture

CONTENTS = (("one.xhtml", "1. Rain"), ("two.xhtml", "2. Sun"))
DRM = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"


def chapters(content: bytes) -> list[tuple[str, str]]:
    return [(one.title, one.text) for one in read_epub(content).chapters]


def titles(content: bytes) -> list[str]:
    return [title for title, _text in chapters(content)]


def texts(body: str) -> list[str]:
    return [block.text for block in read_page(page(body)).blocks]


# What is read.


@pytest.mark.parametrize("old", [False, True], ids=["epub 3", "epub 2"])
def test_a_book_has_its_chapters_and_says_what_it_is(old: bool) -> None:
    book = read_epub(epub(contents=CONTENTS, old=old))
    assert (book.title, book.author, book.language, book.cover) == ("A Book", "Ann Author", "en", None)
    assert [(one.title, one.text, one.divided) for one in book.chapters] == [
        ("1. Rain", "The Rain\n\nIt rained. “Come in,” she said.", True),
        ("2. Sun", "The Sun\n\nIt shone.", True),
    ]
    assert book.warnings == []


def test_chapters_begin_in_the_middle_of_a_page() -> None:
    body = '<p>Before.</p><h2 id="a">One</h2><p>First.</p><p>More <a id="b"></a>of it.</p><p>Last.</p>'
    found = chapters(epub({"all.xhtml": body}, contents=(("all.xhtml#a", "One"), ("all.xhtml#b", "Two"))))
    assert found == [("", "Before."), ("One", "One\n\nFirst."), ("Two", "More of it.\n\nLast.")]


def test_a_part_and_its_first_chapter_share_a_place_and_pages_without_a_title_go_on() -> None:
    pages = {"a.xhtml": "<p>One.</p>", "b.xhtml": "<p>Two.</p>", "c.xhtml": "<p>Three.</p>"}
    found = chapters(epub(pages, contents=(("a.xhtml", "Part I"), ("a.xhtml", "Chapter 1"), ("c.xhtml", "Chapter 2"))))
    assert found == [("Part I · Chapter 1", "One.\n\nTwo."), ("Chapter 2", "Three.")]


def test_without_contents_headings_make_chapters_and_without_headings_nothing_does() -> None:
    assert titles(epub()) == ["The Rain", "The Sun"]
    assert titles(epub(contents=(("gone.xhtml", "Gone"),))) == ["The Rain", "The Sun"]
    (chapter,) = read_epub(epub({"a.xhtml": "<p>Chapter 1</p>", "b.xhtml": "<p>Two.</p>"})).chapters
    assert (chapter.title, chapter.text, chapter.divided) == ("", "Chapter 1\n\nTwo.", False), (
        "others may look for them"
    )


def test_the_order_of_reading_counts_and_what_is_outside_of_it_is_left_out() -> None:
    spine = '<itemref idref="two.xhtml"/><itemref idref="notes" linear="no"/><itemref idref="one.xhtml"/>'
    items = "".join(
        f'<opf:item id="{name}" href="{href}" media-type="application/xhtml+xml"/>'
        for name, href in (("one.xhtml", "one%2Exhtml"), ("two.xhtml", "./x/../two.xhtml"), ("notes", "notes.xhtml"))
    )
    opf = f"<opf:package xmlns:opf='http://www.idpf.org/2007/opf'><opf:manifest>{items}</opf:manifest><opf:spine>{spine}</opf:spine></opf:package>"
    opf = opf.replace("<itemref", "<opf:itemref")
    files: dict[str, str | bytes] = {FOLDER + "content.opf": opf, FOLDER + "notes.xhtml": page("<p>Note.</p>")}
    assert titles(epub(files=files)) == ["The Sun", "The Rain"]


def test_several_authors_and_no_others_who_helped() -> None:
    metadata = (
        '<dc:title id="t">War &amp; Peace</dc:title><dc:title>Other</dc:title>'
        '<dc:creator opf:role="aut">Ann</dc:creator>'
        '<dc:creator>Bob</dc:creator><dc:creator opf:role="ill">Eve</dc:creator><dc:language>zh-CN</dc:language>'
    )
    book = read_epub(epub(metadata=metadata))
    assert (book.title, book.author, book.language) == ("War & Peace", "Ann, Bob", "zh-CN")
    assert read_epub(epub(metadata="<dc:language>the language of love</dc:language>")).language == ""


@pytest.mark.parametrize(
    "items",
    [
        '<item id="x" href="c.png" media-type="image/png" properties="cover-image"/>',
        '<item id="cover" href="c.png" media-type="image/png"/>',
    ],
    ids=["epub 3", "by its name"],
)
def test_a_cover(items: str) -> None:
    assert read_epub(epub(items=items, files={FOLDER + "c.png": picture()})).cover == picture()


def test_a_cover_as_older_books_name_it_and_one_that_is_not_there() -> None:
    items = '<item id="pic" href="c.png" media-type="image/png"/>'
    metadata = '<dc:title>A</dc:title><meta name="cover" content="pic"/>'
    assert read_epub(epub(items=items, metadata=metadata, files={FOLDER + "c.png": picture()})).cover == picture()
    assert read_epub(epub(items=items, metadata=metadata)).cover is None


# What of a page is read aloud.


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<script>alert('<p>no</p>')</script><p>Yes.</p><style>p {}</style>", ["Yes."]),
        ("<p>Word<sup>1</sup> and<a href='#n'>[2]</a> more<sup><a href='#x'>*</a></sup>.</p>", ["Word and more."]),
        ("<p>The 2<sup>nd</sup> <a href='#x'>link</a>.</p>", ["The 2nd link."]),
        ('<p>One<a epub:type="noteref" href="#n">x</a>.</p><aside epub:type="footnote"><p>No.</p></aside>', ["One."]),
        ('<p>One<a role="doc-noteref" href="#n">x</a>.</p><div hidden="">No.</div>', ["One."]),
        ('<p>One<span epub:type="pagebreak" title="5">5</span> two.</p>', ["One two."]),
        ("<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>だ。</p>", ["漢字だ。"]),
        ("<p><ruby><rb>漢</rb><rt>かん<rb>字</rb><rt>じ</ruby>だ。</p>", ["漢字だ。"]),
        ("<p>one\n  two&nbsp;three&#8212;four&mdash;five &amp;lt;</p>", ["one two three—four—five &lt;"]),
        ("<p>汉\n字 word\nword</p>", ["汉字 word word"]),
        ("<p>One<br/>two<br>three</p><hr/><p>Four</p>", ["One\ntwo\nthree", "Four"]),
        ("<p>soft\u00adhyphen</p><img alt='No' src='x'/><svg><text>No</text></svg>", ["softhyphen"]),
        ("<ul><li>One<li>Two</ul><table><tr><td>a<td>b</table>", ["One", "Two", "a", "b"]),
        ("<p>a < b & c<p>unclosed <b>bold<p>next</i></p></div>", ["a < b & c", "unclosed bold", "next"]),
        ("<p title='a > b'>One</p><p title=\"it's\">Two</p><![CDATA[<Three>]]><!-- No", ["One", "Two", "<Three>"]),
        ("<p>&lol; &lol9;x</p>", ["x"]),
    ],
)
def test_what_is_read_aloud(body: str, expected: list[str]) -> None:
    assert texts(body) == expected


def test_headings_and_anchors() -> None:
    found = read_page(page('<h1 id="a">Chapter 1<br/>Rain</h1><p>x</p><h3>Sub</h3><p id="b">y</p>'))
    assert found.blocks == [Block("Chapter 1\nRain", 1), Block("x"), Block("Sub", 3), Block("y")]
    assert found.anchors == {"a": 0, "b": 3}


def test_tags_have_attributes_whatever_their_quotes() -> None:
    (tag,) = [
        one for one in tokens("<OPF:Item ID='a' href=\"b c\" x=y media-type = 'q&amp;r' bare/>") if isinstance(one, Tag)
    ]
    assert (tag.name, tag.opens, tag.closes) == ("item", True, True)
    assert tag.attributes == {"id": "a", "href": "b c", "x": "y", "media-type": "q&r"}


# Nothing in a page makes it slow: the time grows with the length alone, or the timeout of all tests ends it.


@pytest.mark.parametrize(
    "piece",
    ["<", "<a ", "<!--", "<![CDATA[", "<!D[", "<a b='", "<p>", "<sup>1", "</p>", "&", "<?", "<script>", "a ", "汉 \n",
     "<a href='#'>1", "<rt>", "<div id=x>", "&a", "<p "],
)  # fmt: skip
def test_no_page_takes_for_ever(piece: str) -> None:
    read_page(piece * 200_000)
    read_page(f"<p {piece * 200_000}>x")


def test_documents_types_with_entities_are_inert() -> None:
    bomb = '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>'
    content = epub(
        files={FOLDER + "one.xhtml": f"<?xml version='1.0'?>{bomb}<html><body><p>One&b;&x;.</p></body></html>"}
    )
    assert chapters(content) == [("", "One.\n\nThe Sun\n\nIt shone.")]
    opf = '<!DOCTYPE package [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    assert read_epub(epub(metadata=f"{opf}<dc:title>A&x;B</dc:title>")).title == "AB"


# What is refused.


@pytest.mark.parametrize(
    ("name", "value"),
    [("MOST_PAGE", 100), ("MOST_PAGES", 300), ("MOST_UNPACKED", 500), ("MOST_ENTRIES", 3), ("MOST_SECONDS", -1.0)],
)
def test_bounds(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    monkeypatch.setattr(limits, name, value)
    with pytest.raises(BookTooLarge):
        read_epub(epub(contents=CONTENTS))


def test_a_directory_of_too_many_files_is_not_read() -> None:
    with pytest.raises(BookTooLarge, match="more than 5000 files"):
        read_epub(epub(files={f"{number:0500}": "x" for number in range(limits.MOST_ENTRIES + 1)}))


def encryption(*files: tuple[str, str]) -> str:
    data = "".join(
        f'<enc:EncryptedData><enc:EncryptionMethod Algorithm="{how}"/><enc:CipherData>'
        f'<enc:CipherReference URI="{path}"/></enc:CipherData></enc:EncryptedData>'
        for path, how in files
    )
    return f'<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#">{data}</encryption>'


def test_a_protected_book_is_named_so() -> None:
    with pytest.raises(BookProtected, match="protected against copying"):
        read_epub(epub(files={"META-INF/encryption.xml": encryption(("OEBPS/one.xhtml", DRM))}))


def test_garbled_fonts_protect_nothing() -> None:
    fonts = encryption(("OEBPS/one.xhtml", "http://www.idpf.org/2008/embedding"), ("OEBPS/x.otf", DRM))
    assert titles(epub(files={"META-INF/encryption.xml": fonts})) == ["The Rain", "The Sun"]


def test_a_zip_with_a_password_is_named_so() -> None:
    content = bytearray(epub())
    for match in re.finditer(rb"PK\x01\x02", bytes(content)):
        content[match.start() + 8] |= 1
    with pytest.raises(BookProtected):
        read_epub(bytes(content))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_paths_out_of_the_book_and_names_that_stand_twice_are_harmless() -> None:
    items = '<item id="evil" href="../../../../../etc/passwd" media-type="application/xhtml+xml"/>'
    opf = epub(items=items)
    with zipfile.ZipFile(BytesIO(opf)) as archive:
        package = archive.read(FOLDER + "content.opf").decode().replace("</spine>", '<itemref idref="evil"/></spine>')
    book = read_epub(epub(items=items, files={FOLDER + "content.opf": package, "../../evil.xhtml": page("<p>x</p>")}))
    assert [one.title for one in book.chapters] == ["The Rain", "The Sun"]
    assert book.warnings == ["“../../../../etc/passwd” is missing in the book."]
    file = BytesIO(epub())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(FOLDER + "one.xhtml", page("<p>Twice.</p>"))
    assert "Twice." in chapters(file.getvalue())[0][1]


def test_missing_and_damaged_pages_are_told_and_the_rest_is_read() -> None:
    book = read_epub(epub(files={FOLDER + "one.xhtml": bytes(range(256)) * 20}))
    assert book.warnings == ["“OEBPS/one.xhtml” is damaged, and left out."]
    assert [one.text for one in book.chapters] == ["The Sun\n\nIt shone."]
    book = read_epub(epub(files={FOLDER + "one.xhtml": b""}))
    assert book.warnings == ["“OEBPS/one.xhtml” is missing in the book."]


def test_a_book_without_its_container_is_found_by_its_package() -> None:
    assert titles(epub(files={"META-INF/container.xml": b""})) == ["The Rain", "The Sun"]


# Encodings.


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("UTF-16", "utf-16"),
        ("gb2312", "gbk"),
        ("Shift_JIS", "cp932"),
        ("utf-8", "gbk"),
        ("rot13", "utf-8"),
        ("gbk", "utf-16"),
    ],
)
def test_pages_are_read_in_the_encoding_they_name_or_else_in_theirs(declared: str, encoding: str) -> None:
    body = (
        "「あなたは誰ですか」と彼女は尋ねた。"
        if encoding == "cp932"
        else "“你是谁？”她问道。他沉默了一会儿，看着窗外的雨。"
    )
    text = f'<?xml version="1.0" encoding="{declared}"?><html><body><p>{body}</p></body></html>'
    found = read_epub(epub({"a.xhtml": "x"}, files={FOLDER + "a.xhtml": text.encode(encoding)}))
    assert found.chapters[0].text == body


def test_what_is_a_book() -> None:
    assert is_epub("A.EPUB", b"") and is_epub("book.zip", epub()) and not is_epub("a.txt", b"PK\x03\x04")
    assert issubclass(BookError, TextFileError)
    assert len(SOME_PAGES) == 2
