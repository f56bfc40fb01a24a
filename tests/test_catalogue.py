from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from providers import catalogue
from providers.catalogue import check_health, fetch_all
from providers.database import in_database
from providers.engine import Engine, ask_engine
from providers.errors import SpeechError
from providers.models import CatalogueVoice, HealthReport, Provider
from providers.speech import Voice
from tests.upstreams.openai import VOICES, OpenAIUpstream, Refusal
from tests.upstreams.serving import serve

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Known:
    app: OpenAIUpstream
    provider: Provider
    names: list[str] = field(default_factory=list)

    def fetch(self) -> catalogue.Fetched:
        return ask_engine(lambda engine: fetch_all(self.provider.config(), engine))

    def check(self) -> HealthReport:
        ask_engine(lambda engine: check_health(self.provider.config(), engine))
        return HealthReport.objects.get(provider=self.provider)


@pytest.fixture
def known() -> Iterator[Known]:
    app = OpenAIUpstream(key="sk-secret-key")
    with serve(app) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", api_key="sk-secret-key")
        yield Known(app, provider)


def test_fetch_all_stores_models_and_voices(known: Known) -> None:
    fetched = known.fetch()
    assert fetched.voices == len(VOICES) and fetched.models > 0 and fetched.vanished == 0
    assert known.provider.catalogue_voices.get(external_id="alloy").name == "Alloy"
    again = known.fetch()
    assert again == fetched
    assert known.provider.catalogue_voices.count() == len(VOICES), "fetched twice, stored once"


def test_what_vanished_is_marked_and_comes_back(known: Known) -> None:
    known.fetch()
    known.app.switches.voices_shape = "null"
    assert known.fetch().vanished == len(VOICES)
    assert known.provider.catalogue_voices.filter(vanished_at=None).count() == 0
    known.app.switches.voices_shape = "names"
    known.fetch()
    assert known.provider.catalogue_voices.filter(vanished_at=None).count() == len(VOICES)


def test_what_was_entered_by_hand_stays(known: Known) -> None:
    mine = CatalogueVoice.objects.create(provider=known.provider, external_id="mine", by_hand=True)
    known.fetch()
    mine.refresh_from_db()
    assert mine.vanished_at is None and mine.by_hand


def test_a_failing_fetch_changes_nothing(known: Known) -> None:
    known.fetch()
    known.app.switches.refusals = [Refusal(500, "Oops")]
    with pytest.raises(SpeechError):
        known.fetch()
    assert known.provider.catalogue_voices.filter(vanished_at=None).count() == len(VOICES)


def test_thousands_of_voices_are_no_burden(known: Known) -> None:
    rows = [Voice(f"voice-{number}", f"Voice {number}", language="en-US") for number in range(5000)]
    catalogue._store(known.provider.pk, [], rows)
    assert catalogue._store(known.provider.pk, [], rows[:-7]).vanished == 7
    assert known.provider.catalogue_voices.filter(vanished_at=None).count() == 4993


def test_health_is_kept(known: Known) -> None:
    report = known.check()
    assert report.healthy and report.reachable and not report.reason
    known.provider.api_key = "wrong-secret"
    report = known.check()
    assert report.reachable and not report.healthy and "401" in report.reason
    assert "wrong-secret" not in report.reason
    known.provider.base_url = "http://127.0.0.1:9"
    report = known.check()
    assert not report.reachable and "reached" in report.reason
    assert HealthReport.objects.count() == 1


def test_one_failing_check_does_not_stop_the_others(known: Known, caplog: pytest.LogCaptureFixture) -> None:
    Provider.objects.create(name="Odd", kind="openai", base_url="http://127.0.0.1:9", position=0)
    Provider.objects.create(name="Off", kind="openai", base_url="http://127.0.0.1:9", enabled=False)
    ask_engine(catalogue.check_enabled)
    reports = {report.provider.name: report.reachable for report in HealthReport.objects.select_related("provider")}
    assert reports == {"Up": True, "Odd": False}


def test_a_check_lets_go_of_the_adapters_of_absent_providers(known: Known) -> None:
    other = Provider.objects.create(name="Odd", kind="embedded")
    config, gone = known.provider.config(), other.config()

    async def look(engine: Engine) -> tuple[bool, bool]:
        before = engine.adapter(config), engine.adapter(gone)
        await in_database(other.remove)
        await catalogue.check_enabled(engine)
        return engine.adapter(config) is before[0], engine.adapter(gone) is before[1]

    assert ask_engine(look) == (True, False)


def test_a_provider_deleted_meanwhile_is_no_failure(known: Known) -> None:
    config = known.provider.config()
    known.provider.delete()
    ask_engine(lambda engine: check_health(config, engine))
    assert not HealthReport.objects.exists()
