"""Celery, where several processes share the work (NEIROHA_REDIS_URL): `celery -A neiroha_site worker`.

Its messages say only that there is something to do. What that is, and who works at it, stands in the database.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neiroha_site.settings")

from celery import Celery  # noqa: E402 - it looks for Django's settings at once

from studio import drivers  # noqa: E402

if not settings.REDIS_URL:
    raise ImproperlyConfigured("Workers need NEIROHA_REDIS_URL: without it the server does their work itself.")

SWEEP, CLEAR_AWAY = "neiroha.sweep", "neiroha.clear_away"
SWEEP_SECONDS = 5.0
CLEAR_AWAY_SECONDS = 3600.0
# Longer than any slice: nobody may get the message of one that is still at work. What a dead worker left comes back
# sooner, by the leases of its takes.
VISIBILITY_SECONDS = 24 * 3600

app = Celery("neiroha")
# In all threads, so that a server sends by it.
app.set_default()
app.conf.update(
    broker_url=settings.REDIS_URL,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_SECONDS,
        "global_keyprefix": "neiroha:celery:",
        "socket_connect_timeout": 5,
        "health_check_interval": 15,
        # Of whoever sends; who listens tries for ever.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    },
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    imports=["neiroha_site.tasks"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue=drivers.NAME,
    # The sweeper's do not wait behind slices.
    task_routes={SWEEP: {"queue": SWEEP}, CLEAR_AWAY: {"queue": SWEEP}},
    worker_prefetch_multiplier=1,
    # So long a child may take to start on a machine that is busy.
    worker_proc_alive_timeout=120,
    # A new child now and then gives back what libraries keep.
    worker_max_tasks_per_child=1000,
    worker_hijack_root_logger=False,
    beat_schedule={
        SWEEP: {"task": SWEEP, "schedule": SWEEP_SECONDS, "options": {"expires": SWEEP_SECONDS}},
        CLEAR_AWAY: {"task": CLEAR_AWAY, "schedule": CLEAR_AWAY_SECONDS, "options": {"expires": CLEAR_AWAY_SECONDS}},
    },
    beat_scheduler="celery.beat:Scheduler",
)
