"""What Prometheus and a collector of traces hear of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from deploy.ports import free_port
from tests.collector import Collector, attributes
from tests.figures import Figures
from tests.upstreams.serving import serve
from tests.workers import Batch, Shop, Worker, shop, wait_until

KEY = """
import json
from api.models import ApiKey, Scope
print(json.dumps(ApiKey.objects.issue(name="Prometheus", scope=Scope.METRICS)[1]))
"""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop(tmp_path_factory.mktemp("watched")) as made:
        yield made


def test_the_figures_of_all_processes_are_one_and_outlive_them(office: Shop) -> None:
    port, key = free_port(), office.shell(KEY)
    with office.batch() as batch, office.worker("--metrics-port", str(port), processes=2) as worker:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{address}/health/live"))
        assert httpx.get(f"{address}/metrics", trust_env=False, timeout=60).status_code == 401
        speak(batch, 5)
        figures = until_ended(address, key, 5)
        provider = f"Up {office.number}"
        assert figures("neiroha_upstream_calls_total", provider=provider, outcome="ok", process="worker") == 5
        assert figures("neiroha_queue_wait_seconds_count", provider=provider, priority="batch") == 5
        assert figures("neiroha_audio_seconds_total", provider=provider) > 0
        assert figures("neiroha_takes", state="done", priority="batch") >= 5
        # A loop is looked at twice a second.
        until(address, key, lambda figures: figures("neiroha_event_loop_lag_seconds_count") > 0)
        assert "pid" not in {
            label for name, have in figures.samples for label, _ in have if name != "neiroha_process_info"
        }
        worker.kill_speaker()
        wait_until(lambda: len(worker.speaking()) == 2)
        speak(batch, 2)
        assert until_ended(address, key, 7)("neiroha_upstream_calls_total", provider=provider) == 7
        assert worker.end() == 0
        assert not answers(f"{address}/health/live")


def speak(batch: Batch, lines: int) -> None:
    batch.generate(lines)
    wait_until(batch.is_done)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def until_ended(address: str, key: str, takes: int) -> Figures:
    return until(address, key, lambda figures: figures("neiroha_takes_ended_total", state="done") == takes)


def until(address: str, key: str, condition: Callable[[Figures], bool]) -> Figures:
    found: list[Figures] = []

    def holds() -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.get(f"{address}/metrics", headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 200, answer.text
        found.append(Figures(answer.text))
        return condition(found[-1])

    wait_until(holds)
    return found[-1]


def test_a_port_that_is_taken_is_said_at_once(office: Shop) -> None:
    with serve(Collector()) as url:
        port = url.rpartition(":")[2]
        worker = Worker(office.folder, office.folder / "taken.log", office.variables, "--metrics-port", port)
        assert worker.process.wait(120) == 1
    assert worker.output == f"Figures can't be served at 127.0.0.1, port {port}: Address already in use.\n"


def test_figures_need_a_folder_to_be_read_from(office: Shop) -> None:
    with pytest.raises(AssertionError, match="Set PROMETHEUS_MULTIPROC_DIR to the folder"):
        office.manage("worker_metrics", "--port", str(free_port()))


def test_a_take_is_traced_through_its_worker(office: Shop) -> None:
    collector = Collector()
    with serve(collector) as url:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "200", "no_proxy": "127.0.0.1"}
        with office.batch() as batch, office.worker(variables=traced) as worker:
            speak(batch, 2)
            wait_until(lambda: [span.name for span in collector.spans].count("upstream") == 2)
            assert worker.end() == 0
    takes = [span for span in collector.spans if span.name == "take"]
    assert len({span.trace_id for span in takes}) == len(takes) == 2
    parts = [span for span in collector.spans if span.name == "upstream"]
    assert {span.parent_span_id for span in parts} == {span.span_id for span in takes}
    assert {attributes(span)["neiroha.provider"] for span in parts} == {f"Up {office.number}"}
    assert {resource["neiroha.process"] for resource in collector.resources} == {"worker"}
