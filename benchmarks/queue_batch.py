"""`python -m benchmarks.queue_batch LINES`: a project with so many queued lines, in the data folder.

Prints, as JSON, its address, the ids of its lines, and the cookie of somebody who may look at it.
"""

from __future__ import annotations

import json
import sys

from benchmarks.configure import set_up_django
from benchmarks.stage import SENTENCE

PACED = "paced"


def main(count: int) -> None:
    set_up_django()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from banks.models import Character
    from studio.generate import Want, generate
    from studio.lines import Draft, add
    from studio.models import Project

    user, _ = User.objects.get_or_create(username="batch", defaults={"is_staff": True, "is_superuser": True})
    project = Project.objects.create(name=f"{count} lines", kind="phase", owner=user)
    character = Character.objects.get(name=PACED)
    add(project, [Draft(f"{number}. {SENTENCE}", character_id=character.pk) for number in range(count)])
    generate(project, project.lines.all(), Want.MISSING, user)
    client = Client()
    client.force_login(user)
    lines = list(project.lines.values_list("pk", flat=True))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    print(json.dumps({"project": project.pk, "lines": lines, "session": session}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
