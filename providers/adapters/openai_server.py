"""Where a server with OpenAI's paths is, whatever a user copies from its documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from providers.http import Answer

OPENAI_HOST = "api.openai.com"
ABSENT = (404, 405)
WEB_PAGE = "A web page answers there, not an API: check the base URL."


def host_of(base_url: str) -> str:
    """Lower case, without a port."""
    return base_url.strip().partition("://")[2].partition("/")[0].partition(":")[0].lower()


class ServerAddress:
    """A base URL as people type it: with /v1 or without, or of a whole `endpoint`; its query stays with every call.

    Which of the two works is found out by the first call that is answered, and remembered.
    """

    def __init__(self, base_url: str, endpoint: str) -> None:
        address, _, self._query = base_url.strip().partition("#")[0].partition("?")
        self.root = address.rstrip("/").removesuffix(endpoint).rstrip("/")
        self.settled = "v1" in self.root.split("/")

    def url(self, path: str, root: str = "") -> str:
        return (root or self.root) + path + (f"?{self._query}" if self._query else "")

    def roots(self) -> list[str]:
        """Where lists may be: under the base URL, then at the root beside /v1 or in the /v1 that was left out."""
        if self.root.endswith("/v1"):
            return [self.root, self.root.removesuffix("/v1")]
        return [self.root] if self.settled else [self.root, f"{self.root}/v1"]

    def ask(
        self, path: str, send: Callable[[str], AbstractAsyncContextManager[Answer]]
    ) -> AbstractAsyncContextManager[Answer]:
        """Not found at an address without /v1, it is sent once more with it. Start pages answer for every path."""
        return send(self.url(path)) if self.settled else self._find(path, send)

    @asynccontextmanager
    async def _find(
        self, path: str, send: Callable[[str], AbstractAsyncContextManager[Answer]]
    ) -> AsyncIterator[Answer]:
        root = self.root
        async with send(self.url(path, root)) as answer:
            if _is_there(answer):
                yield answer
                return
        async with send(self.url(path, f"{root}/v1")) as answer:
            if _is_there(answer):
                self.root, self.settled = f"{root}/v1", True
            yield answer


def _is_there(answer: Answer) -> bool:
    return answer.status not in ABSENT and not (answer.ok and answer.is_web_page)
