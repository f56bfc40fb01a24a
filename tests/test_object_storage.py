"""Files in a bucket: what goes wrong on the way there, and what people see of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from banks import object_storage, scratch
from banks.storage import (
    PrivateFiles,
    StorageError,
    StorageFailed,
    StorageFull,
    StorageUnavailable,
    StoredFile,
    private_storage,
    storage_errors,
)
from neiroha_site import file_storage
from neiroha_site.checks import check_file_storage
from tests.object_storage import Bucket, closed_port
from tests.server_process import manage, running_server

CONTENT = bytes(range(256)) * 2000
NAME = "takes/one.wav"
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert not list(scratch.place().glob("*")), "a copy on this machine was left behind"


def read(name: str = NAME, start: int = 0) -> bytes:
    with closing(private_storage().reader(name, start)) as reader:
        return b"".join(iter(lambda: reader.read(100_000), b""))


def adopt(files: PrivateFiles, path: Path) -> None:
    with files.adopting(NAME, path) as settle:
        settle()


ACTS: dict[str, Callable[[PrivateFiles], Any]] = {
    "put": lambda files: files.put(NAME, CONTENT),
    "find": lambda files: files.find(NAME),
    "read": lambda files: files.reader(NAME),
    "open": lambda files: files.open(NAME),
    "delete": lambda files: files.delete(NAME),
    "list": lambda files: list(files.entries("takes")),
    "clear": lambda files: files.remove_unfinished(timedelta(0)),
    "prove": lambda files: files.prove(),
}


# What the service says.


@pytest.mark.parametrize("act", ACTS)
def test_a_refused_key_is_told(bucket: Bucket, act: str) -> None:
    for method in METHODS:
        bucket.way.fail(method, 403, "AccessDenied")
    with pytest.raises(StorageFailed, match="refuses the access key, or does not allow it this"), storage_errors():
        ACTS[act](private_storage())


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (403, "InvalidAccessKeyId", StorageFailed, r"refuses the access key.* \(InvalidAccessKeyId\)"),
        (404, "NoSuchBucket", StorageFailed, "has no bucket “bucket-"),
        (400, "InvalidRequest", StorageFailed, r"failed \(InvalidRequest\)"),
        (507, "XMinioStorageFull", StorageFull, "is full .*make room in it, then try again"),
        (403, "QuotaExceeded", StorageFull, "is full"),
    ],
)
def test_an_answer_becomes_an_error_of_ours(
    bucket: Bucket, status: int, code: str, kind: type[StorageError], words: str
) -> None:
    bucket.way.fail("PUT", status, code)
    with pytest.raises(kind, match=words) as caught, storage_errors():
        private_storage().put(NAME, CONTENT)
    assert not caught.value.permanent and bucket.names() == set()


def test_a_bucket_that_is_not_there(bucket: Bucket, settings: Any) -> None:
    settings.STORAGES = bucket.storages(bucket_name="no-such-bucket")
    with pytest.raises(StorageFailed, match="has no bucket “no-such-bucket”"), storage_errors():
        private_storage().put(NAME, CONTENT)


def test_a_service_that_is_overloaded_is_asked_again(bucket: Bucket) -> None:
    fault = bucket.way.fail("PUT", 503, "SlowDown", times=2)
    private_storage().put(NAME, CONTENT)
    assert fault.times == 0 and bucket.content(NAME) == CONTENT


def test_a_service_that_stays_overloaded(bucket: Bucket) -> None:
    bucket.way.fail("PUT", 503, "SlowDown")
    with pytest.raises(StorageFailed, match=r"is overloaded \(SlowDown\)"), storage_errors():
        private_storage().put(NAME, CONTENT)
    assert len(bucket.way.seen) == object_storage._ATTEMPTS


@pytest.mark.parametrize("act", ACTS)
def test_a_service_that_is_not_there(bucket: Bucket, settings: Any, act: str) -> None:
    settings.STORAGES = bucket.storages(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(StorageFailed, match=r"can't be reached \(EndpointConnectionError\)"), storage_errors():
        ACTS[act](private_storage())


# In the middle.


def test_reading_goes_on_where_it_was_cut_off(bucket: Bucket) -> None:
    files = private_storage()
    files.put(NAME, CONTENT)
    bucket.way.fail("GET", cut=300_000, times=1)
    assert read() == CONTENT
    ranges = [asked for method, _target, asked in bucket.way.seen if method == "GET"]
    assert len(ranges) == 2 and ranges[0] == "" and ranges[1].startswith("bytes=")


def test_reading_that_gets_no_further_fails(bucket: Bucket) -> None:
    files = private_storage()
    files.put(NAME, CONTENT)
    bucket.way.fail("GET", cut=0)
    with pytest.raises(StorageUnavailable, match="cut the connection in the middle"):
        read(start=5)
    with pytest.raises(StorageUnavailable), files.local_copies([StoredFile(NAME, len(CONTENT))]):
        pass
    with pytest.raises(StorageUnavailable):
        files.open(NAME)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch, bucket: Bucket, settings: Any) -> int:
    """The least that the service takes as a part."""
    size = 5 * 1024 * 1024
    monkeypatch.setattr(object_storage, "_PART_BYTES", size)
    settings.STORAGES = bucket.storages()
    return size


def test_a_long_file_goes_in_parts(bucket: Bucket, small_parts: int, tmp_path: Path) -> None:
    path, content = tmp_path / "whole", CONTENT * 25
    path.write_bytes(content)
    adopt(private_storage(), path)
    assert bucket.content(NAME) == content and bucket.unfinished() == [] and not path.exists()
    assert sum("partNumber" in target for _method, target, _range in bucket.way.seen) == 3


@pytest.mark.parametrize(("method", "pattern"), [("PUT", "partNumber=2"), ("POST", "uploadId=")])
def test_a_long_file_that_fails_in_the_middle_is_not_there(
    bucket: Bucket, small_parts: int, tmp_path: Path, method: str, pattern: str
) -> None:
    path = tmp_path / "whole"
    path.write_bytes(CONTENT * 25)
    bucket.way.fail(method, 403, "AccessDenied", pattern=pattern)
    with pytest.raises(StorageUnavailable, match="refuses the access key"):
        adopt(private_storage(), path)
    assert bucket.names() == set() and bucket.unfinished() == [] and path.exists()
    bucket.way.heal()
    adopt(private_storage(), path)
    assert bucket.names() == {NAME}


def test_an_export_whose_upload_fails_leaves_nothing(bucket: Bucket) -> None:
    bucket.way.fail("PUT", 403, "AccessDenied")
    with pytest.raises(StorageUnavailable), private_storage().making("exports/a.zip") as path:
        path.write_bytes(CONTENT)
    assert bucket.names() == set()


def test_uploads_that_nobody_finishes_are_given_up(bucket: Bucket) -> None:
    for key in (f"{bucket.prefix}/footage/a.mp4", "elsewhere/b.mp4"):
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    files = private_storage()
    # The tests' service says of each that it was begun in 2010.
    assert files.remove_unfinished(timedelta(days=365 * 100)) == 0
    assert files.remove_unfinished(timedelta(days=1)) == 1
    assert bucket.unfinished() == ["elsewhere/b.mp4"]


# Private.


def test_files_carry_no_rights_for_others(bucket: Bucket) -> None:
    private_storage().put(NAME, CONTENT)
    grants = bucket.client.get_object_acl(Bucket=bucket.name, Key=f"{bucket.prefix}/{NAME}")["Grants"]
    assert [one["Grantee"]["Type"] for one in grants] == ["CanonicalUser"]


def test_without_a_prefix(bucket: Bucket, settings: Any) -> None:
    bucket.prefix = ""
    settings.STORAGES = bucket.storages()
    files = private_storage()
    files.put(NAME, CONTENT)
    assert [entry.name for entry in files.entries("takes")] == [NAME] and read() == CONTENT
    assert files.remove_unfinished(timedelta(0)) == 0


# Settings.


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def chosen(**values: str) -> dict[str, Any]:
        for name, value in values.items():
            monkeypatch.setenv(f"NEIROHA_S3_{name}", value)
        return file_storage.from_environment()

    return chosen


def test_a_bucket_by_the_environment(variables: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden\n")
    chosen = variables(
        BUCKET="voices",
        ENDPOINT="https://s3.example.com/",
        REGION="eu-central-1",
        PREFIX="/a/b/",
        ACCESS_KEY="us",
        SECRET_KEY_FILE=str(tmp_path / "secret"),
    )
    assert chosen["BACKEND"] == "banks.object_storage.ObjectFiles"
    assert chosen["OPTIONS"] == {
        "bucket_name": "voices",
        "endpoint_url": "https://s3.example.com",
        "region_name": "eu-central-1",
        "location": "a/b",
        "access_key": "us",
        "secret_key": "hidden",
        "security_token": None,
        "addressing_style": "path",
    }


def test_amazons_own_needs_no_more_than_the_name(variables: Callable[..., dict[str, Any]]) -> None:
    assert variables(BUCKET="voices")["OPTIONS"] == {
        "bucket_name": "voices",
        "region_name": None,
        "location": "",
        "addressing_style": "auto",
    }
    assert variables(ADDRESSING="virtual")["OPTIONS"]["addressing_style"] == "virtual"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ENDPOINT": "https://s3.example.com"}, "NEIROHA_S3_BUCKET names no bucket"),
        ({"BUCKET": "a/b"}, "can't be the name of a bucket"),
        ({"BUCKET": "voices", "ENDPOINT": "s3.example.com"}, "must be an address such as"),
        ({"BUCKET": "voices", "ENDPOINT": "https://s3.example.com:x"}, "must be an address such as"),
        ({"BUCKET": "voices", "ACCESS_KEY": "us"}, "Set both"),
        ({"BUCKET": "voices", "ADDRESSING": "dns"}, "must be path or virtual"),
    ],
)
def test_what_does_not_fit_stops_the_start(
    variables: Callable[..., dict[str, Any]], values: dict[str, str], words: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        variables(**values)


def test_the_check_asks_the_service(bucket: Bucket, settings: Any) -> None:
    assert check_file_storage(None) == [] and bucket.names() == set()
    bucket.way.fail("PUT", 403, "AccessDenied")
    (found,) = check_file_storage(None)
    assert found.id == "neiroha.E010" and "refuses the access key" in found.msg and found.hint
    bucket.way.heal()
    bucket.way.fail("GET", 403, "AccessDenied", pattern="list-type")
    (found,) = check_file_storage(None)
    assert "does not allow it" in found.msg and bucket.names() == set()


def test_the_commands_tell(bucket: Bucket, tmp_path: Path) -> None:
    fine = manage(tmp_path, "check", "--deploy", "--tag", "neiroha", variables=bucket.variables())
    assert fine.returncode == 0, fine.stderr
    unreachable = bucket.variables() | {"NEIROHA_S3_ENDPOINT": f"http://127.0.0.1:{closed_port()}"}
    told = manage(tmp_path, "check", "--deploy", "--tag", "neiroha", variables=unreachable)
    assert told.returncode == 1 and "(neiroha.E010)" in told.stderr and "can't be reached" in told.stderr
    with running_server(tmp_path, variables=unreachable) as server:
        assert [line for line in server.lines if line.startswith("Files: ") and "(neiroha.E010)" in line]
        assert server.end() == 0


def test_the_data_folder_needs_nothing_of_it(tmp_path: Path) -> None:
    shown = "import sys; print(sorted({'boto3', 'botocore', 'storages', 's3transfer'} & set(sys.modules)))"
    asked = manage(tmp_path, "shell", "--no-imports", "-c", "import neiroha_site.asgi; " + shown)
    assert asked.stdout.strip().endswith("[]"), asked.stdout + asked.stderr
    assert "boto3" in sys.modules, "the tests themselves have it, so the word is the right one"
