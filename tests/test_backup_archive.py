"""The file of a backup, and files that only look like one."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from django.core.management.base import CommandError

from neiroha_site.backup.archive import Amount, ArchiveUnreadable, Contents, Writer, parts

CONTENTS = Contents(1, "0.1.0", "2026-01-01T00:00:00+00:00", ["auth.0001_initial"], {"auth.User": ["id"]})
ROWS = "database/auth.User/000001.jsonl"
type Entries = list[tuple[str, bytes]]
WHOLE: Entries = [
    ("backup.json", CONTENTS.as_json()),
    ("secrets/field_keys", b"one"),
    ("secrets/secret_key", b"two"),
    (ROWS, b'{"id":1}\n'),
    ("files/takes/a.wav", bytes(range(256)) * 10),
    ("end.json", b"{}"),
]


def packed(entries: Entries, *, format: int = tarfile.GNU_FORMAT, **values: object) -> bytes:
    """As any program that writes tars would."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=format) as tar:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for each, value in values.items():
                setattr(info, each, value)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@contextmanager
def written() -> Iterator[tuple[Writer, io.BytesIO]]:
    file = io.BytesIO()
    with closing(Writer(file)) as archive:
        yield archive, file


def tidy(entries: Entries) -> bytes:
    """What other programs fill the end of a tar with is none of ours."""
    content = gzip.decompress(packed(entries)).rstrip(b"\0")
    return gzip.compress(content + bytes(-len(content) % 512 + 1024))


def read(content: bytes) -> Entries:
    return [(part.name, part.content()) for part in parts(io.BytesIO(content))]


def test_what_is_written_is_read() -> None:
    with written() as (archive, file):
        for name, content in WHOLE[:3]:
            archive.add(name, content)
        archive.add_rows(ROWS, [b'{"id":1}\n', b'{"id":2}\n'])
        archive.add_file("files/takes/a.wav", 1000, io.BytesIO(bytes(5000)))
        archive.add_file("files/takes/empty.wav", 0, io.BytesIO())
        archive.end()
    *first, rows, sound, empty, end = read(file.getvalue())
    assert first == WHOLE[:3]
    assert rows == (ROWS, b'{"id":1}\n{"id":2}\n')
    assert sound == ("files/takes/a.wav", bytes(1000)), "what grew meanwhile is kept as it was"
    assert empty == ("files/takes/empty.wav", b"")
    assert Amount(**json.loads(end[1])) == Amount(rows=2, files=2, size=18 + 1000)


def test_any_program_can_unpack_it() -> None:
    with written() as (archive, file):
        for name, content in WHOLE[:-1]:
            archive.add(name, content)
        archive.end()
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        assert tar.getnames() == [name for name, _ in WHOLE]
        assert {member.mode for member in tar} == {0o600}


def test_the_same_content_makes_the_same_file() -> None:
    made = []
    for _ in range(2):
        with written() as (archive, file):
            archive.add(*WHOLE[0])
            archive.end()
        made.append(file.getvalue())
    assert made[0] == made[1]


def test_a_part_that_is_not_read_is_passed_over() -> None:
    assert [part.name for part in parts(io.BytesIO(tidy(WHOLE)))] == [name for name, _ in WHOLE]


def test_a_file_that_became_shorter_makes_no_backup() -> None:
    with written() as (archive, _), pytest.raises(CommandError, match="became shorter"):
        archive.add_file("files/a", 10, io.BytesIO(b"12345"))


@pytest.mark.parametrize("name", ["files/../a", "files/.hidden", "files/a\nb", "files/" + "a" * 100, "elsewhere/a"])
def test_names_that_could_not_be_read_back_are_not_written(name: str) -> None:
    with written() as (archive, _), pytest.raises(CommandError, match="can't be kept in a backup"):
        archive.add(name, b"")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "files/../../evil",
        "files/a/../b",
        "files/./a",
        "files//a",
        "files/a/",
        "files/.bashrc",
        "files\\a",
        "files/a\\b",
        "files/C:a",
        "files/a\nb",
        "files/ü",
        "secrets/setup_token",
        "secrets/../server.lock",
        "database/auth.User/1.jsonl",
        "database/../auth.User/000001.jsonl",
        "neiroha.sqlite3",
        "files/" + "a" * 90 + "/b" * 40,
    ],
)
def test_names_that_do_not_belong_into_one(name: str) -> None:
    with pytest.raises(ArchiveUnreadable):
        read(tidy([*WHOLE[:4], (name, b""), WHOLE[-1]]))


@pytest.mark.parametrize(
    "type",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_only_plain_files_belong_into_one(type: bytes) -> None:
    with pytest.raises(ArchiveUnreadable):
        read(packed([WHOLE[0], ("files/a", b"")], type=type, linkname="/etc/passwd"))


def test_names_and_sizes_in_headers_of_their_own_are_not_read() -> None:
    """They may be as long as they like, and whoever reads them has them in memory."""
    with pytest.raises(ArchiveUnreadable):
        read(packed([(WHOLE[0][0], WHOLE[0][1])], format=tarfile.PAX_FORMAT, pax_headers={"comment": "a" * 5000}))


@pytest.mark.parametrize(
    "entries",
    [
        [],
        WHOLE[1:],
        [WHOLE[0], WHOLE[0], *WHOLE[1:]],
        [WHOLE[0], WHOLE[3], *WHOLE[1:3], *WHOLE[4:]],
        [*WHOLE[:5], ("files/takes/a.wav", b"twice"), WHOLE[5]],
        [*WHOLE[:4], ("files/b", b""), ("files/a", b""), WHOLE[5]],
        [*WHOLE, ("files/z", b"behind the end")],
        [*WHOLE, WHOLE[-1]],
        WHOLE[:-1],
    ],
    ids=["nothing", "no manifest", "two", "rows first", "file twice", "unordered", "more", "two ends", "no end"],
)
def test_parts_that_lack_or_stand_elsewhere(entries: Entries) -> None:
    with pytest.raises(ArchiveUnreadable):
        read(tidy(entries))


def test_wherever_it_is_cut_off_it_is_not_whole() -> None:
    content = tidy(WHOLE)
    for length in range(len(content)):
        with pytest.raises(ArchiveUnreadable):
            read(content[:length])


def test_whatever_is_flipped_in_it_is_noticed_or_of_no_matter() -> None:
    content, unnoticed = tidy(WHOLE), 0
    # The ten bytes before hold the time, the system and the like.
    for place in range(10, len(content)):
        try:
            assert read(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]) == WHOLE
            unnoticed += 1
        except ArchiveUnreadable:
            pass
    assert unnoticed < 10


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4 a zip", b"SQLite format 3\0", bytes(2000), gzip.compress(b"hello")],
    ids=["empty", "zip", "database", "zeros", "gzip"],
)
def test_what_is_something_else(content: bytes) -> None:
    with pytest.raises(ArchiveUnreadable):
        read(content)


def headed(name: str, size: int, change: Callable[[tarfile.TarInfo], None] = lambda info: None) -> bytes:
    """An archive that goes on with a header, and then ends."""
    info = tarfile.TarInfo(name)
    info.size = size
    change(info)
    return gzip.compress(gzip.decompress(tidy(WHOLE[:1]))[:-1024] + info.tobuf(tarfile.GNU_FORMAT))


@pytest.mark.parametrize(
    ("name", "size"), [("secrets/field_keys", 1 << 17), (ROWS, 65 << 20), ("end.json", 2 << 20), ("files/a", -1)]
)
def test_parts_that_are_larger_than_they_can_be_are_refused_unread(name: str, size: int) -> None:
    with pytest.raises(ArchiveUnreadable, match="larger than it can be"):
        read(headed(name, size))


def test_a_file_is_only_read_piece_by_piece_however_large_it_says_it_is() -> None:
    walk = parts(io.BytesIO(headed("files/a", 1 << 60)))
    next(walk)
    part = next(walk)
    with pytest.raises(ArchiveUnreadable, match="ends too early"):
        part.read(1000)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[]",
        b"{}",
        b"not json",
        b"[" * 100_000,
        b'{"format": 1}',
        CONTENTS.as_json().replace(b'"0.1.0"', b"7"),
        CONTENTS.as_json().replace(b'"id"', b"{}"),
        CONTENTS.as_json().replace(b'"format": 1', b'"format": "1"'),
        CONTENTS.as_json().replace(b'"format"', b'"more": 1, "format"'),
    ],
)
def test_a_manifest_that_says_something_else(told: bytes) -> None:
    with pytest.raises(ArchiveUnreadable):
        Contents.read(told)


def test_the_manifest_is_read_as_it_was_written() -> None:
    assert Contents.read(CONTENTS.as_json()) == CONTENTS
