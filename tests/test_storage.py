"""One contract for files, wherever they live: a folder, or a bucket of a service that is called over the network."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile

from banks import scratch
from banks.storage import LocalFiles, PrivateFiles, StoredFile, private_storage
from neiroha_site.backup.making import stored_files
from providers.whole_files import PART
from tests.object_storage import Bucket

CONTENT = bytes(range(256)) * 2000
NAME = "takes/one.wav"


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path, settings: Any) -> Iterator[PrivateFiles]:
    settings.DATA_DIR = tmp_path
    if request.param == "s3":
        request.getfixturevalue("bucket")
    yield private_storage()
    assert not list(scratch.place().glob("*")), "a copy on this machine was left behind"


def read(files: PrivateFiles, name: str, start: int = 0) -> bytes:
    with closing(files.reader(name, start)) as reader:
        return b"".join(iter(lambda: reader.read(100_000), b""))


def names(files: PrivateFiles, folder: str = "takes") -> set[str]:
    return {entry.name for entry in files.entries(folder)}


# Writing and reading.


def test_the_default_is_the_data_folder() -> None:
    assert isinstance(private_storage(), LocalFiles)


def test_what_is_put_is_found_and_read(files: PrivateFiles) -> None:
    assert files.find(NAME) is None and not files.exists(NAME)
    files.put(NAME, CONTENT)
    assert files.find(NAME) == StoredFile(NAME, len(CONTENT))
    assert files.exists(NAME) and files.size(NAME) == len(CONTENT)
    assert read(files, NAME) == CONTENT
    assert abs(files.get_modified_time(NAME).timestamp() - time.time()) < 600
    assert names(files) == {NAME} and files.listdir("takes")[1] == ["one.wav"]


@pytest.mark.parametrize("start", [0, 1, 300_000, len(CONTENT) - 1])
def test_reading_may_begin_anywhere(files: PrivateFiles, start: int) -> None:
    files.put(NAME, CONTENT)
    assert read(files, NAME, start) == CONTENT[start:]


def test_an_empty_file_is_one(files: PrivateFiles) -> None:
    files.put(NAME, b"")
    assert files.find(NAME) == StoredFile(NAME, 0) and read(files, NAME) == b""


def test_what_is_not_there(files: PrivateFiles) -> None:
    with pytest.raises(FileNotFoundError):
        files.reader(NAME)
    with pytest.raises(FileNotFoundError):
        files.size(NAME)
    with pytest.raises(FileNotFoundError), files.local_copy(NAME):
        pass
    with pytest.raises(FileNotFoundError):
        files.open(NAME)
    files.delete(NAME)
    assert names(files) == set()


def test_what_is_removed_is_gone(files: PrivateFiles) -> None:
    files.put(NAME, CONTENT)
    files.delete(NAME)
    assert files.find(NAME) is None and names(files) == set()


@pytest.mark.parametrize("name", ["../secrets/field_keys", "takes/../../secrets/field_keys"])
def test_no_name_leads_out_of_the_place(files: PrivateFiles, name: str) -> None:
    for act in (files.find, files.reader, files.delete, lambda name: files.put(name, b"")):
        with pytest.raises(SuspiciousOperation):
            act(name)


def test_djangos_own_ways(files: PrivateFiles) -> None:
    """As fields of models use them."""
    name = files.save("avatars/a.webp", ContentFile(CONTENT))
    assert name == "avatars/a.webp"
    with files.open(name) as file:
        assert file.read(10) == CONTENT[:10] and file.size == len(CONTENT)
        file.seek(-5, os.SEEK_END)
        assert file.read() == CONTENT[-5:]


def test_no_file_has_a_public_address(files: PrivateFiles) -> None:
    files.put(NAME, CONTENT)
    with pytest.raises(ValueError, match="no public address"):
        files.url(NAME)


def test_listing_stays_in_its_folder(files: PrivateFiles) -> None:
    for name in ("takes/a.wav", "takes/b.wav", "takes-of-others/c.wav", "exports/d.zip"):
        files.put(name, b"1")
    assert names(files) == {"takes/a.wav", "takes/b.wav"}
    assert names(files, "nothing") == set()
    assert [sorted(found) for found in files.listdir("")] == [["exports", "takes", "takes-of-others"], []]


def test_a_backup_finds_all_of_it(files: PrivateFiles) -> None:
    stored = {"takes/a.wav", "exports/b.zip", "covers/c.jpg"}
    for name in stored:
        files.put(name, CONTENT)
    assert set(stored_files(files)) == stored
    with files.open("takes/a.wav") as file:
        assert (file.size, file.read()) == (len(CONTENT), CONTENT)


def test_more_files_than_one_answer_lists(bucket: Bucket) -> None:
    for number in range(1003):
        bucket.client.put_object(Bucket=bucket.name, Key=f"{bucket.prefix}/takes/{number}.wav", Body=b"")
    assert len(names(private_storage())) == 1003


def test_what_is_old_goes(files: PrivateFiles) -> None:
    files.put("drafts/a.txt", b"1")
    files.remove_older("drafts", timedelta(days=1))
    assert names(files, "drafts") == {"drafts/a.txt"}
    files.remove_older("drafts", timedelta(days=-1))
    assert names(files, "drafts") == set()


def test_it_proves_itself_and_leaves_nothing(files: PrivateFiles) -> None:
    files.prove()
    assert names(files, "probe") == set()


# Whole, or not at all.


def test_a_file_that_is_made_appears_when_it_is_whole(files: PrivateFiles) -> None:
    with files.making(NAME) as path:
        path.write_bytes(CONTENT[:100])
        assert files.find(NAME) is None
        path.write_bytes(CONTENT)
    assert read(files, NAME) == CONTENT


def test_a_file_that_fails_in_the_making_is_not_there(files: PrivateFiles) -> None:
    with pytest.raises(RuntimeError), files.making(NAME) as path:
        path.write_bytes(CONTENT)
        raise RuntimeError
    assert files.find(NAME) is None and names(files) == set()


class Broken(ContentFile):  # type: ignore[type-arg]  # generic in its stubs only
    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield CONTENT
        raise RuntimeError


def test_an_upload_that_fails_is_not_there(files: PrivateFiles) -> None:
    with pytest.raises(RuntimeError):
        files.save(NAME, Broken(b""))
    assert files.find(NAME) is None and names(files) == set()


def test_a_finished_file_is_taken_over(files: PrivateFiles, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(CONTENT)
    with files.adopting(NAME, path) as settle:
        settle()
    assert read(files, NAME) == CONTENT and not path.exists()


def test_what_is_not_taken_over_stays_where_it_was(files: PrivateFiles, tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_bytes(CONTENT)
    with pytest.raises(RuntimeError), files.adopting(NAME, path):
        raise RuntimeError
    assert path.read_bytes() == CONTENT and names(files) == set()


def test_what_was_being_written_when_a_process_died(files: PrivateFiles) -> None:
    left = scratch.place() / "left"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"half")
    os.utime(left, (0, 0))
    if isinstance(files, LocalFiles):
        files.put(NAME, CONTENT)
        part = Path(files.path(NAME + PART))
        part.write_bytes(b"half")
        assert files.remove_unfinished(timedelta(hours=1)) == 0 and part.exists(), "somebody may still write it"
        assert files.remove_unfinished(timedelta(0)) == 1 and not part.exists() and names(files) == {NAME}
        scratch.remove_left_over(timedelta(0))
    else:
        assert files.remove_unfinished(timedelta(hours=1)) == 1
    assert not left.exists()


# Copies on this machine.


def test_copies_last_as_long_as_the_block(files: PrivateFiles) -> None:
    wanted = [StoredFile(f"takes/{number}.wav", 1000 * number) for number in range(20)]
    for one in wanted:
        files.put(one.name, CONTENT[: one.size])
    with files.local_copies([*wanted, StoredFile("takes/gone.wav", 5)]) as paths:
        assert {name: path.read_bytes() for name, path in paths.items() if path.exists()} == {
            one.name: CONTENT[: one.size] for one in wanted
        }
        assert not paths["takes/gone.wav"].exists()
    with files.local_copy("takes/7.wav") as path:
        assert path.read_bytes() == CONTENT[:7000]
    assert read(files, "takes/7.wav") == CONTENT[:7000], "the file itself stays"


def test_copies_go_when_the_block_fails(files: PrivateFiles) -> None:
    files.put(NAME, CONTENT)
    with pytest.raises(RuntimeError), files.local_copy(NAME):
        raise RuntimeError


def test_copying_ends_when_it_is_not_wanted_any_more(bucket: Bucket) -> None:
    files, begun = private_storage(), threading.Event()
    wanted = [StoredFile(f"takes/{number}.wav", 1000) for number in range(50)]
    for one in wanted:
        files.put(one.name, CONTENT[: one.size])

    def go_on() -> None:
        begun.set()
        raise RuntimeError

    with pytest.raises(RuntimeError), files.local_copies(wanted, go_on):
        pass
    assert begun.is_set() and not list(scratch.place().glob("*"))


def test_copies_are_bounded_by_the_disk(bucket: Bucket) -> None:
    files = private_storage()
    files.put(NAME, CONTENT)
    with pytest.raises(OSError, match="No space left"), files.local_copies([StoredFile(NAME, 1 << 60)]):
        pass
    assert not list(scratch.place().glob("*"))
