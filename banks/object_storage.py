"""Files in a bucket of an S3-compatible service. Only what the settings name imports this: it needs the extra [scale].

An object appears when its upload is whole. What botocore raises becomes StorageUnavailable, or FileNotFoundError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from threading import Event
from typing import IO, Any, Self

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from django.core.files.base import File
from django.utils import timezone
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from banks.scratch import remove_left_over, scratch_file, scratch_folder
from banks.storage import Entry, PrivateFiles, Reader, StorageUnavailable, StoredFile

CONNECT_SECONDS, READ_SECONDS = 5, 30
# The services ask for fewer requests now and then; botocore waits longer each time.
_ATTEMPTS = 4
# Longer ones go in parts of this size. Each worker holds a part.
_PART_BYTES, _WORKERS = 16 * 1024 * 1024, 4
_COPY_BYTES, _COPIES = 1024 * 1024, 8
# Connections that are kept; more are made when all are in use.
_KEPT_CONNECTIONS = 32

_GONE = {"NoSuchKey", "404", "NotFound"}
_FULL = {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "StorageFull", "InsufficientCapacity"}
_BUSY = {"SlowDown", "SlowDownRead", "SlowDownWrite", "RequestLimitExceeded", "Throttling", "TooManyRequests"}


class ObjectFiles(PrivateFiles, S3Storage):  # type: ignore[misc]
    """Options are those of django-storages."""

    def __init__(self, **options: Any) -> None:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=_KEPT_CONNECTIONS,
            signature_version="s3v4",
            s3={"addressing_style": options.get("addressing_style") or "auto"},
            # Many compatible services know no other checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        transfer = TransferConfig(
            multipart_threshold=_PART_BYTES,
            multipart_chunksize=_PART_BYTES,
            max_concurrency=_WORKERS,
            preferred_transfer_client="classic",
        )
        super().__init__(client_config=config, transfer_config=transfer, **options)

    @cached_property
    def client(self) -> Any:
        """One for all threads: clients may be shared, what django-storages keeps for each thread costs a tenth of a
        second each time."""
        return self._create_session().client(
            "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=self.client_config
        )

    # What Django's storages do.

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        return _Copy(self, name)

    def _save(self, name: str, content: File[Any]) -> str:
        with self.making(name) as path, path.open("wb") as file:
            for chunk in content.chunks():
                file.write(chunk)
        return name

    def delete(self, name: str) -> None:
        with self._refusals():
            self.client.delete_object(**self._place(name))

    def exists(self, name: str) -> bool:
        return self.find(name) is not None

    def size(self, name: str) -> int:
        return int(self._head(name)["ContentLength"])

    def get_modified_time(self, name: str) -> datetime:
        modified: datetime = self._head(name)["LastModified"]
        return modified

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        folders, names = list[str](), list[str]()
        for page in self._pages(path):
            folders += [PurePosixPath(one["Prefix"]).name for one in page.get("CommonPrefixes", ())]
            names += [PurePosixPath(one["Key"]).name for one in page.get("Contents", ())]
        return folders, names

    # What ours do.

    def find(self, name: str) -> StoredFile | None:
        try:
            return StoredFile(name, self.size(name))
        except FileNotFoundError:
            return None

    def reader(self, name: str, start: int = 0) -> Reader:
        return _ObjectReader(partial(self._opened, name), start)

    def put(self, name: str, content: bytes) -> None:
        with self._refusals():
            self.client.put_object(**self._place(name), Body=content)

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        with scratch_folder() as folder:
            path = folder / PurePosixPath(name).name
            yield path
            self._upload(name, path)

    @contextmanager
    def adopting(self, name: str, path: Path) -> Iterator[Callable[[], None]]:
        self._upload(name, path)
        try:
            yield lambda: None
        except BaseException:
            with suppress(OSError):
                self.delete(name)
            raise
        path.unlink(missing_ok=True)

    @contextmanager
    def local_copies(
        self, files: Sequence[StoredFile], go_on: Callable[[], None] = lambda: None
    ) -> Iterator[dict[str, Path]]:
        with scratch_folder(sum(file.size for file in files)) as folder:
            paths = {file.name: folder / PurePosixPath(file.name).name for file in files}
            stop = Event()
            with ThreadPoolExecutor(_COPIES, thread_name_prefix="copies") as pool:
                try:
                    copies = [pool.submit(self._copy, name, path, stop) for name, path in paths.items()]
                    _wait_for(copies, go_on)
                finally:
                    stop.set()
                    pool.shutdown(cancel_futures=True)
            yield paths

    def entries(self, folder: str) -> Iterator[Entry]:
        for page in self._pages(folder):
            for one in page.get("Contents", ()):
                yield Entry(f"{folder}/{PurePosixPath(one['Key']).name}", one["LastModified"])

    def room(self) -> None:
        return None

    def remove_unfinished(self, age: timedelta) -> int:
        """Uploads in parts, which are billed until they are given up, and copies on this machine."""
        before, removed = timezone.now() - age, remove_left_over(age)
        with self._refusals():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket_name, Prefix=self._prefix("")
            )
            for one in [one for page in pages for one in page.get("Uploads", ()) if one["Initiated"] <= before]:
                self.client.abort_multipart_upload(Bucket=self.bucket_name, Key=one["Key"], UploadId=one["UploadId"])
                removed += 1
        return removed

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket_name, "Key": self._normalize_name(name)}

    def _prefix(self, folder: str) -> str:
        """What the keys of all that lies in it begin with."""
        root = self._normalize_name(folder).strip("/")
        return f"{root}/" if root else ""

    def _pages(self, folder: str) -> Iterator[dict[str, Any]]:
        with self._refusals():
            yield from self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=self._prefix(folder), Delimiter="/"
            )

    def _head(self, name: str) -> dict[str, Any]:
        with self._refusals():
            head: dict[str, Any] = self.client.head_object(**self._place(name))
        return head

    def _opened(self, name: str, start: int) -> dict[str, Any]:
        asked = {"Range": f"bytes={start}-"} if start else {}
        with self._refusals():
            answer: dict[str, Any] = self.client.get_object(**self._place(name), **asked)
        return answer

    def _upload(self, name: str, path: Path) -> None:
        """From a finished file; an upload in parts that fails is given up."""
        with self._refusals(), create_transfer_manager(self.client, self.transfer_config) as manager:
            place = self._place(name)
            manager.upload(str(path), place["Bucket"], place["Key"]).result()

    def _copy(self, name: str, path: Path, stop: Event) -> None:
        try:
            reader = self.reader(name)
        except FileNotFoundError:
            return
        with closing(reader), path.open("wb") as file:
            while not stop.is_set() and (chunk := reader.read(_COPY_BYTES)):
                file.write(chunk)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise _refused(error, self.bucket_name) from error
        except BotoCoreError as error:
            raise _failed(error) from error


class _Copy(File):  # type: ignore[type-arg]
    """On this machine; it vanishes when it is closed."""

    def __init__(self, storage: ObjectFiles, name: str) -> None:
        self._storage = storage
        super().__init__(None, name)
        self.open()

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """At its beginning, again."""
        if self.file is None or self.closed:
            self.file = self._fetched()
        self.file.seek(0)
        return self

    def _fetched(self) -> IO[bytes]:
        copy = scratch_file()
        try:
            with closing(self._storage.reader(self.name or "")) as reader:
                while chunk := reader.read(_COPY_BYTES):
                    copy.write(chunk)
        except BaseException:
            copy.close()
            raise
        return copy


class _ObjectReader:
    """Begins at once. Where the connection breaks it goes on from there, in case the service only cut off a reader that
    paused for too long."""

    def __init__(self, opened: Callable[[int], dict[str, Any]], start: int) -> None:
        self._opened, self._position = opened, start
        self._body: Any = None
        self._begin()

    def read(self, size: int, /) -> bytes:
        try:
            return self._read(size)
        except (BotoCoreError, HTTPError):
            self.close()
        try:
            self._begin()
            return self._read(size)
        except (BotoCoreError, HTTPError) as error:
            raise _failed(error) from error

    def close(self) -> None:
        """What is not read yet is not fetched any more."""
        if self._body is not None:
            self._body.close()

    def _begin(self) -> None:
        self._body = self._opened(self._position)["Body"]

    def _read(self, size: int) -> bytes:
        chunk: bytes = self._body.read(size)
        self._position += len(chunk)
        return chunk


def _wait_for(copies: Sequence[Future[None]], go_on: Callable[[], None]) -> None:
    waiting = set(copies)
    while waiting:
        done, waiting = wait(waiting, timeout=1, return_when=FIRST_EXCEPTION)
        for copy in done:
            copy.result()
        go_on()


def _refused(error: ClientError, bucket: str) -> OSError:
    """What the service answered."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _GONE:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if code == "NoSuchBucket":
        return StorageUnavailable(errno.EIO, f"has no bucket “{bucket}”")
    if code in _FULL or status == 507:
        return StorageUnavailable(errno.ENOSPC, f"is full ({code})")
    if code in _BUSY or status in (429, 503):
        return StorageUnavailable(errno.EBUSY, f"is overloaded ({code})")
    if status in (401, 403):
        return StorageUnavailable(errno.EACCES, f"refuses the access key, or does not allow it this ({code})")
    return StorageUnavailable(errno.EIO, f"failed ({code})")


def _failed(error: BotoCoreError | HTTPError) -> StorageUnavailable:
    """Without a whole answer."""
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return StorageUnavailable(errno.EACCES, "needs an access key, and there is none")
        case IncompleteReadError() | ResponseStreamingError() | HTTPError():
            return StorageUnavailable(errno.EIO, "cut the connection in the middle of a file")
        case _:
            return StorageUnavailable(errno.EIO, f"can't be reached ({type(error).__name__})")
