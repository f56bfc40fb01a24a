"""Jobs that have nothing left to give."""

from __future__ import annotations

import asyncio
import logging

from django.db import DatabaseError

from api.jobs.models import Job
from providers.database import in_database

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0


def forget() -> int:
    return Job.objects.forgettable().delete()[0]


async def forget_old_jobs() -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            await in_database(forget)
        except DatabaseError:
            logger.exception("Old jobs could not be forgotten.")
