"""What a speech program of the system must do, and how one is run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from providers.errors import BadAudio, ProviderUnavailable, UpstreamFailed, UpstreamTimeout
from providers.speech import Voice

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Raises SpeechErrors only; cancelling a call ends every process that it started."""

    def unavailable(self) -> str:
        """Why it can't work here, with what to do about it; empty when it can."""
        ...

    async def voices(self, timeout: float) -> list[Voice]: ...

    async def speak(self, text: str, voice: str, rate: float, timeout: float) -> bytes:
        """A WAV file. `voice` is a listed id, `rate` a multiplier of the engine's own pace."""
        ...


async def run_program(
    command: Sequence[str], *, stdin: bytes = b"", timeout: float, environment: Mapping[str, str] | None = None
) -> bytes:
    """What the program writes to stdout. Not back in time or cancelled, its whole process group is killed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE if stdin else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env={**_clean_environment(), **(environment or {})},
            start_new_session=True,
        )
    except (OSError, NotImplementedError) as error:
        raise ProviderUnavailable("The system's speech program can't be started.") from error
    try:
        async with asyncio.timeout(timeout):
            output, complaint = await process.communicate(stdin or None)
    except BaseException as error:
        await _kill(process)
        if isinstance(error, TimeoutError):
            raise UpstreamTimeout("The system's speech engine did not answer in time.") from error
        raise
    if process.returncode:
        logger.warning(
            "%s exited with %s: %.500s", command[0], process.returncode, complaint.decode("utf-8", "replace")
        )
        raise UpstreamFailed(f"The system's speech engine failed with exit code {process.returncode}.")
    return output


@asynccontextmanager
async def work_folder() -> AsyncIterator[Path]:
    """A folder of one call's own, gone after it."""
    folder = TemporaryDirectory(prefix="neiroha-speech-", ignore_cleanup_errors=True)
    try:
        yield Path(folder.name)
    finally:
        await asyncio.to_thread(folder.cleanup)


async def read_result(path: Path) -> bytes:
    """What a program wrote; BadAudio when it wrote nothing."""
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise BadAudio("The system's speech engine produced nothing.") from error


def _clean_environment() -> dict[str, str]:
    """The server's own secrets are none of a program's business."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEIROHA_")}


async def _kill(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            # The group outlives its leader as long as a child of it runs.
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
