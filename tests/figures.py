"""Reading /metrics as Prometheus does, and what one test adds to it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from api.models import ApiKey, Scope
from api.monitoring.scrape import _counts
from tests.test_api_streams import eventually

type Labels = frozenset[tuple[str, str]]


class Figures:
    """One scrape: `figures("neiroha_x_total", label="value")` is the sum over the samples that have these labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples: dict[tuple[str, Labels], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                place = (sample.name, frozenset(sample.labels.items()))
                assert place not in self.samples, f"{place} is there twice"
                self.samples[place] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(value for (known, have), value in self.samples.items() if known == name and wanted <= have)

    def labels(self, name: str) -> set[str]:
        """All values of a label."""
        return {value for _, labels in self.samples for label, value in labels if label == name}


class Prometheus:
    """Scrapes with a key of its own."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        _, self.secret = ApiKey.objects.issue(name="Prometheus", scope=Scope.METRICS)

    def response(self, **headers: str) -> httpx.Response:
        return self._client.get("/metrics", headers={"Authorization": f"Bearer {self.secret}"} | headers)

    def scrape(self) -> Figures:
        _counts.forget()
        response = self.response()
        assert response.status_code == 200, response.text
        return Figures(response.text)

    def until(self, condition: Callable[[Figures], bool]) -> Figures:
        """The first scrape of which the condition holds: what ends is counted after its answer is out."""
        found = [self.scrape()]

        def holds() -> bool:
            found.append(self.scrape())
            return condition(found[-1])

        eventually(holds)
        return found[-1]
