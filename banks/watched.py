"""A place in the queue and a call to a provider, as those who watch the server see them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from types import TracebackType

from providers import metrics, tracing
from providers.errors import SpeechError
from providers.queue import Cost, Priority
from providers.speech import AudioFormat, ProviderConfig
from providers.tickets import Ticket


class WatchedPlace:
    """The place itself, with the wait for it counted and traced."""

    __slots__ = ("_place", "_priority", "_provider")

    def __init__(
        self, place: AbstractAsyncContextManager[Ticket], provider: ProviderConfig, priority: Priority
    ) -> None:
        self._place, self._provider, self._priority = place, provider.name, priority.name.lower()

    async def __aenter__(self) -> Ticket:
        with tracing.span("wait in queue", provider=self._provider, priority=self._priority):
            try:
                ticket = await self._place.__aenter__()
            except SpeechError as error:
                metrics.counter(metrics.queue_refusals, self._provider, error.code).inc()
                raise
        metrics.histogram(metrics.queue_wait_seconds, self._provider, self._priority).observe(ticket.waited)
        return ticket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._place.__aexit__(kind, error, traceback)


def upstream_call(provider: ProviderConfig, cost: Cost) -> AbstractContextManager[metrics.UpstreamCall]:
    """The call itself, counted and traced."""
    call = metrics.UpstreamCall(provider.name, cost.characters)
    return _traced(call, provider, cost) if tracing.is_on() else call


@contextmanager
def _traced(call: metrics.UpstreamCall, provider: ProviderConfig, cost: Cost) -> Iterator[metrics.UpstreamCall]:
    told: dict[str, tracing.Value] = {"provider": provider.name, "provider.kind": provider.kind}
    with tracing.upstream_span(**told, characters=cost.characters), call:
        yield call


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 0.0

    async def timed[T](self, work: Awaitable[T]) -> T:
        started = time.monotonic()
        try:
            return await work
        finally:
            self.seconds += time.monotonic() - started


@contextmanager
def transcoding(to: AudioFormat) -> Iterator[Stopwatch]:
    """The conversion of one answer. While its provider still speaks, that is done chunk by chunk: the stopwatch knows
    how long it really took."""
    codec = Stopwatch()
    with tracing.span("transcode", to=to.value) as span:
        yield codec
        span.set("busy_seconds", codec.seconds)
    metrics.transcode_seconds.observe(codec.seconds)
