"""A real S3 service for tests, and a way to it that can be made to fail."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

KEY, SECRET = "reader-and-writer", "not-a-secret"
_REFUSAL = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>As the test wants it.</Message></Error>"
_NOT_FORWARDED = {"connection", "transfer-encoding", "content-length", "server", "date"}


@dataclass
class Fault:
    """What becomes of the next requests of this method whose target the pattern is found in: an answer of this status
    and code, or one that breaks after `cut` bytes."""

    method: str
    pattern: str = ""
    status: int = 0
    code: str = ""
    cut: int | None = None
    times: int = 1 << 30


@dataclass
class Way:
    """A proxy in front of the service. `seen` holds the method and target of each request, and the range it asked for;
    `open` counts answers that are being sent."""

    address: str
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    open: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def fail(self, method: str, status: int = 0, code: str = "", **values: Any) -> Fault:
        fault = Fault(method, status=status, code=code, **values)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        self.faults.clear()

    def fault(self, method: str, target: str) -> Fault | None:
        with self.lock:
            for one in self.faults:
                if one.method == method and one.times and re.search(one.pattern, target):
                    one.times -= 1
                    return one
        return None

    def count(self, number: int) -> None:
        with self.lock:
            self.open += number
            self.lock.notify_all()

    def wait_until_idle(self) -> None:
        with self.lock:
            assert self.lock.wait_for(lambda: not self.open, 60), "an answer is still being sent"


def _handler(way: Way, behind: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            way.seen.append((self.command, self.path, self.headers.get("Range", "")))
            fault = way.fault(self.command, self.path)
            if fault is not None and fault.status:
                told = _REFUSAL.format(code=fault.code).encode()
                self.send(fault.status, [("Content-Type", "application/xml")], told, None)
                return
            connection = HTTPConnection(behind, timeout=60)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
                length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
                self.send(answer.status, answer.getheaders(), content, fault.cut if fault else None, length)
            finally:
                connection.close()

        def send(
            self,
            status: int,
            headers: list[tuple[str, str]],
            content: bytes,
            cut: int | None,
            length: str | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            way.count(1)
            try:
                if self.command != "HEAD":
                    self.wfile.write(content[:cut])
                if cut is not None:
                    self.close_connection = True
            except OSError:
                self.close_connection = True
            finally:
                way.count(-1)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def way_to(service: str) -> Iterator[Way]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), None)  # type: ignore[arg-type]  # the handler names the server's way
    server.daemon_threads = True
    way = Way(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = _handler(way, urlsplit(service).netloc)
    thread = threading.Thread(target=server.serve_forever, name="way-to-s3")
    thread.start()
    try:
        yield way
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_s3() -> Iterator[str]:
    """The address of a service that holds everything in memory."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def client_of(service: str) -> Any:
    """One of the tests' own."""
    return boto3.Session(KEY, SECRET, region_name="us-east-1").client(
        "s3", endpoint_url=service, config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    )


@dataclass
class Bucket:
    """One of a test's own; the product reaches it through `way`."""

    service: str
    way: Way
    prefix: str = "neiroha/files"
    name: str = field(default_factory=lambda: f"bucket-{secrets.token_hex(6)}")

    def __post_init__(self) -> None:
        self.client = client_of(self.service)
        self.client.create_bucket(Bucket=self.name)

    def storages(self, **options: Any) -> dict[str, Any]:
        """Django's setting."""
        named = {"bucket_name": self.name, "endpoint_url": self.way.address, "location": self.prefix}
        keys = {"access_key": KEY, "secret_key": SECRET, "region_name": "us-east-1", "addressing_style": "path"}
        place = {"BACKEND": "banks.object_storage.ObjectFiles", "OPTIONS": named | keys | options}
        return {"default": place, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}

    def variables(self) -> dict[str, str]:
        """A server's environment."""
        return {
            "NEIROHA_S3_BUCKET": self.name,
            "NEIROHA_S3_ENDPOINT": self.way.address,
            "NEIROHA_S3_REGION": "us-east-1",
            "NEIROHA_S3_PREFIX": self.prefix,
            "NEIROHA_S3_ACCESS_KEY": KEY,
            "NEIROHA_S3_SECRET_KEY": SECRET,
        }

    def names(self, folder: str = "") -> set[str]:
        """Of all objects, without the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = {one["Key"] for page in pages for one in page.get("Contents", ())}
        assert all(key.startswith(f"{self.prefix}/") for key in keys)
        return {name for key in keys if (name := key.removeprefix(f"{self.prefix}/")).startswith(folder)}

    def content(self, name: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=f"{self.prefix}/{name}")["Body"].read()
        return content

    def unfinished(self) -> list[str]:
        """Uploads in parts that were begun and neither finished nor given up."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
