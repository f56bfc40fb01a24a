"""Traces by OpenTelemetry, exported by OTLP over HTTP from a thread of its own. Imported only where they are on."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import Context, ContextVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from providers.metrics import LEFT, outcome
from providers.tracing import Span, Value

CLOSE_SECONDS = 3.0
_PREFIX = "neiroha."

# The call to a provider that the current task makes.
_calling: ContextVar[otel_context.Context | None] = ContextVar("calling", default=None)


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(_named(name), value)

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            told = outcome(error)
            self._span.set_attribute("error.type", told)
            if told != LEFT:
                # No exception is recorded: its words may be a provider's, and quote the text.
                self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _named(name: str) -> str:
    return name if "." in name else _PREFIX + name


class Telemetry:
    """Not OpenTelemetry's global provider: only our own spans are exported."""

    def __init__(self, process: str, version: str, informed: frozenset[str]) -> None:
        self._informed = informed
        self._propagator = TraceContextTextMapPropagator()
        self._provider = TracerProvider(resource=_resource(process, version), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("neiroha", version)

    def close(self) -> None:
        """A collector that does not answer must not keep the process from ending."""
        closing = threading.Thread(target=self._provider.shutdown, name="telemetry-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    @contextmanager
    def part(self, name: str, attributes: Mapping[str, Value]) -> Iterator[Span]:
        with _ended(self._begin(name, SpanKind.INTERNAL, attributes)) as span:
            yield _Span(span)

    @contextmanager
    def call(self, attributes: Mapping[str, Value]) -> Iterator[Span]:
        with _ended(self._begin("upstream", SpanKind.CLIENT, attributes)) as span:
            _calling.set(trace.set_span_in_context(span))
            try:
                yield _Span(span)
            finally:
                _calling.set(None)

    @contextmanager
    def work(self, name: str, headers: Mapping[str, str] | None, attributes: Mapping[str, Value]) -> Iterator[Span]:
        kind = SpanKind.INTERNAL if headers is None else SpanKind.SERVER
        # What the context still holds may be of the request before, on the same connection.
        parent = self._propagator.extract(headers or {}, context=otel_context.Context())
        span = self._begin(name, kind, attributes, parent)
        token = otel_context.attach(trace.set_span_in_context(span, parent))
        try:
            with _ended(span):
                yield _Span(span)
        finally:
            otel_context.detach(token)

    def propagate(self, host: str, headers: MutableMapping[str, str]) -> None:
        if host in self._informed:
            self._propagator.inject(headers, context=_calling.get())

    def carry_over(self, context: Context) -> None:
        context.run(otel_context.attach, otel_context.get_current())

    def _begin(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Value], parent: otel_context.Context | None = None
    ) -> trace.Span:
        named = {_named(key): value for key, value in attributes.items()}
        return self._tracer.start_span(name, context=parent, kind=kind, attributes=named)


@contextmanager
def _ended(span: trace.Span) -> Iterator[trace.Span]:
    try:
        yield span
    except BaseException as error:
        _Span(span).end(error)
        raise
    _Span(span).end(None)


def _resource(process: str, version: str) -> Resource:
    told = {
        "service.version": version,
        "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        "neiroha.process": process,
    }
    resource = Resource.create(told)
    # Where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name none.
    unnamed = str(resource.attributes[SERVICE_NAME]).startswith("unknown_service")
    return resource.merge(Resource({SERVICE_NAME: "neiroha"})) if unnamed else resource
