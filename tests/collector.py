"""An OpenTelemetry collector that keeps what is exported to it by OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.upstreams.serving import WAIT_SECONDS


class Collector:
    """The ASGI application."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.raw = b""
        self._changed = threading.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        assert (scope["method"], scope["path"]) == ("POST", "/v1/traces")
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._take(body)
        headers = [(b"content-type", b"application/x-protobuf")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            self.raw += body
            for found in request.resource_spans:
                self.resources.append(attributes(found.resource))
                self.spans += [span for scope in found.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[list[Span]], bool]) -> list[Span]:
        """All spans, once the condition holds for them."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.spans), WAIT_SECONDS), [one.name for one in self.spans]
            return list(self.spans)

    def trace(self, trace_id: str, *names: str) -> dict[str, Span]:
        """The spans of one trace by name, once all of these are there."""

        def of_trace(spans: list[Span]) -> dict[str, Span]:
            return {span.name: span for span in spans if span.trace_id.hex() == trace_id}

        return of_trace(self.wait_for(lambda spans: set(names) <= of_trace(spans).keys()))


def attributes(holder: Any) -> dict[str, Any]:
    """Of a span or a resource."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}
