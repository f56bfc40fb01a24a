"""The OpenAPI schema is whole and true: Schemathesis asks each operation for what it says, and for what it does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.utils import timezone
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.models import Access, ApiKey, Job, JobItem, Scope, ServerSettings
from api.native.docs import schema
from banks.models import Bank, Character, Membership, Pronunciation, ReferenceAudio
from neiroha_site.first_run import make_default_bank
from providers.models import CatalogueModel, CatalogueVoice, HealthReport, Provider
from providers.versions import bump
from studio.export_options import ExportOptions, What
from studio.models import Export, Project
from tests.admin_pages import recording
from tests.native_api import make_user
from tests.projects import voiced
from tests.studio import clear_files, done

EXAMPLES = 8
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Operations that examples may miss: one needs an upload, another a request that runs.
FEW = 6


def spoken_job(owner: User, key: ApiKey, character: Character) -> Job:
    job = Job.objects.create(owner=owner, key=key)
    JobItem.objects.create(job=job, index=0, voice_id="voice_0", take=done(owner, character))
    return job


class House:
    """A running server with one row of everything, and a key that may do all."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.owner = make_user(superuser=True)
        self.keys = {scope: ApiKey.objects.issue(name=scope, owner_id=self.owner.pk, scope=scope) for scope in Scope}
        assert make_default_bank()
        provider, character, bank = Provider.objects.get(), Character.objects.get(), Bank.objects.get()
        reference = ReferenceAudio(name="Ann")
        reference.keep(recording())
        reference.save()
        entry = {"provider": provider, "external_id": "by hand", "by_hand": True}
        self.rows: dict[str, int] = {
            "providers": provider.pk,
            "characters": character.pk,
            "banks": bank.pk,
            "pronunciations": Pronunciation.objects.create(written="Nguyen", spoken="win").pk,
            "references": reference.pk,
            "memberships": Membership.objects.get().pk,
            "models": CatalogueModel.objects.create(**entry).pk,
            "voices": CatalogueVoice.objects.create(**entry).pk,
            "keys": ApiKey.objects.issue(name="Spare", owner_id=self.owner.pk)[0].pk,
            "queue": 1,
            **self.studio(character),
        }
        # What examples would hardly ever hit on their own. Nothing listens at the address: none leads anywhere else.
        self.known: dict[str, Any] = {
            "provider": provider.pk,
            "bank": bank.pk,
            "character": Character.objects.create(name="Soul", provider=provider).pk,
            "base_url": "http://127.0.0.1:9/",
            "voice": "Heart",
            "kind": provider.kind,
            "time_zone": "UTC",
            # Refused at once: nothing is sent anywhere.
            "webhook_url": "http://127.0.0.1:9/",
        }
        self.job = spoken_job(self.owner, self.keys[Scope.MANAGE][0], character)
        self.known |= {"project": self.rows["projects"], "after": self.rows["lines"], "before": self.rows["lines"]}
        HealthReport.objects.create(provider=provider, checked_at=timezone.now(), reachable=True)
        self.statuses: dict[str, set[int]] = defaultdict(set)
        self.session = requests.Session()
        self.session.trust_env = False

    def studio(self, speaker: Character) -> dict[str, int]:
        """A project with a line that has audio, and an export of it."""
        project = Project.objects.create(name="Play", kind="dialogue", owner=self.owner, format="wav")
        (line,) = voiced(project, self.owner, speaker, "One.")
        options = ExportOptions(What.AUDIO, "mp3").as_json()
        export = Export(project=project, owner=self.owner, options_json=options, state="done")
        export.file.save("a.mp3", ContentFile(b"sound"))
        assert line.take
        return {"projects": project.pk, "lines": line.pk, "exports": export.pk, "takes": line.take.pk}

    def restore(self) -> None:
        """What an example may have switched off is on again, and the keys are what they were."""
        fresh = ServerSettings(pk=1, access=Access.KEYS, rate_limit_per_minute=0)
        fresh.save()
        for key, _secret in self.keys.values():
            key.save(force_update=ApiKey.objects.filter(pk=key.pk).exists())
            key.banks.clear()
        bump()

    def secret(self, scope: Scope) -> str:
        return self.keys[scope][1]


@pytest.fixture
def house(server: str) -> Iterator[House]:
    made = House(server)
    made.restore()
    yield made
    made.session.close()
    clear_files()


def operations() -> list[Any]:
    """What removes things comes last, and speech first: it needs them all."""
    loaded = schemathesis.openapi.from_dict(schema())
    found: list[Any] = [result.ok() for result in loaded.get_all_operations()]  # type: ignore[union-attr]  # or it fails
    return sorted(found, key=lambda one: (one.path.startswith("/api/"), one.method == "delete", one.path, one.method))


def cases(operation: Any, house: House) -> Any:
    """As described and not as described; half of them for the row that there is."""
    fixed: dict[str, Any] = {}
    if "{id}" in operation.path:
        fixed = {"path_parameters": {"id": house.rows[operation.path.split("/")[2]]}}
    elif "{model_id}" in operation.path:
        fixed = {"path_parameters": {"model_id": "Neiroha"}}
    elif "{job_id}" in operation.path:
        fixed = {"path_parameters": {"job_id": house.job.public_id}}
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    return strategies.one_of(
        *(operation.as_strategy(mode, **fixed) for mode in modes), *(operation.as_strategy(mode) for mode in modes)
    )


def each_case(house: House, examples: int, check: Callable[[Any], None]) -> None:
    for operation in operations():

        @hypothesis.settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=cases(operation, house))
        def run(case: Any) -> None:
            check(case)

        run()


def call(house: House, case: Any, secret: str = "") -> Any:
    if isinstance(case.body, dict):
        known = {name: value for name, value in house.known.items() if type(case.body.get(name)) is type(value)}
        if case.operation.path.startswith("/api/projects"):
            known.pop("kind", None)  # of projects, not of providers
        case.body |= known
    if case.operation.path.startswith(("/api/settings", "/api/keys")):
        house.restore()
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    response = case.call(base_url=house.address, session=house.session, headers=headers)
    house.statuses[case.operation.label].add(response.status_code)
    return response


def test_every_operation_is_as_described(house: House) -> None:
    def check(case: Any) -> None:
        response = call(house, case, house.secret(Scope.MANAGE))
        case.validate_response(response, checks=CHECKS)

    each_case(house, EXAMPLES, check)
    unreached = {label for label, found in house.statuses.items() if not any(status < 300 for status in found)}
    assert len(unreached) <= FEW, unreached


@pytest.mark.parametrize(("scope", "status"), [(None, 401), (Scope.SPEECH, 403)], ids=["nobody", "speech"])
def test_nothing_is_reached_without_right(house: House, scope: Scope | None, status: int) -> None:
    def check(case: Any) -> None:
        response = call(house, case, house.secret(scope) if scope else "")
        case.validate_response(response, checks=CHECKS)

    each_case(house, 2, check)
    native = {label: found for label, found in house.statuses.items() if " /api/" in label}
    assert len(native) > 50 and all({status} <= found <= {status, 404} for found in native.values()), native
    if scope is None:
        free = {label for label, found in house.statuses.items() if found - {401}}
        assert free == {"GET /health"}
