"""Optional OpenTelemetry traces. While they are off, nothing of it is imported and a span is one function call.

Spans carry names of providers, endpoints and outcomes, and counts; never a text, a key or a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from contextlib import AbstractContextManager
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from providers.telemetry import Telemetry

type Value = str | int | float


class Span(Protocol):
    def set(self, name: str, value: Value) -> None:
        """An attribute that is known later than the span's begin."""


class _NoSpan:
    """In the place of every span while nobody looks."""

    __slots__ = ()

    def __enter__(self) -> _NoSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def set(self, name: str, value: Value) -> None:
        """Nothing is kept."""


NO_SPAN = _NoSpan()
_telemetry: Telemetry | None = None


def start(process: str, version: str, informed: Collection[str] = ()) -> None:
    """Begin to export what this process does, as the usual OTEL_ variables say. `informed`: the hosts of providers
    that are told the trace. ImportError without the extra [telemetry]."""
    global _telemetry
    if _telemetry is None:
        from providers.telemetry import Telemetry

        _telemetry = Telemetry(process, version, frozenset(informed))


def stop() -> None:
    """Send what is left, for a few seconds at most. It blocks: not for an event loop."""
    global _telemetry
    telemetry, _telemetry = _telemetry, None
    if telemetry is not None:
        telemetry.close()


def is_on() -> bool:
    return _telemetry is not None


def span(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """Part of what the current task works on. It may be left in another task than it was entered in."""
    return NO_SPAN if _telemetry is None else _telemetry.part(name, attributes)


def upstream_span(**attributes: Value) -> AbstractContextManager[Span]:
    """A call to a provider: what is sent from the block on belongs to it."""
    return NO_SPAN if _telemetry is None else _telemetry.call(attributes)


def work_span(name: str, headers: Mapping[str, str] | None = None, **attributes: Value) -> AbstractContextManager[Span]:
    """A whole piece of work, of which all spans in the task and in those that it starts are parts. With `headers`, in
    lower case, it is a request, and goes on with the trace of its `traceparent`."""
    return NO_SPAN if _telemetry is None else _telemetry.work(name, headers, attributes)


def propagate(host: str, headers: MutableMapping[str, str]) -> None:
    """Tell a provider the trace that it is called in, if its host is one that may know."""
    if _telemetry is not None:
        _telemetry.propagate(host, headers)


def carry_over(context: Context) -> None:
    """Let what runs in `context` be part of the current trace."""
    if _telemetry is not None:
        _telemetry.carry_over(context)
