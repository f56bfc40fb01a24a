"""What drf-spectacular can't find out by itself about our views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

from api.answers import ErrorSerializer


class NeirohaSchema(AutoSchema):
    """Adds the query of a list, and the errors, to each operation."""

    def get_override_parameters(self) -> list[Any]:
        query = getattr(self.view, "query_class", None)
        listed = getattr(self.view, "action", "list") == "list"
        return [query] if query is not None and listed else []

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        describe: Any = super()._get_response_for_code
        if self.method == "DELETE" and (restorable := getattr(self.view, "restore", None)):
            bodies["200"] = describe(restorable.__self__.get_serializer_class(), "200", ["application/json"])
        for status in self._error_statuses():
            bodies.setdefault(str(status), describe(ErrorSerializer, str(status), ["application/json"]))
        return bodies

    def _error_statuses(self) -> list[int]:
        """What every operation of its kind can end in, apart from 405 and from what stops the whole server."""
        native, jobs = self.path.startswith("/api/"), self.path.startswith("/v1/jobs")
        found = {400, 503} if not self.get_auth() else {400, 401, 429, 503}
        if native or jobs:
            found |= {403}
        if "{" in self.path:
            found |= {404}
        if self.method in ("POST", "PATCH"):
            found |= {413, 415}
        if self.path.endswith("/speech/"):
            found |= {404, 500}  # no such voice; the provider failed
        if native and "{" in self.path and (self.method != "GET" or self.path.endswith("/health/")):
            found |= {409}
        if self.path.endswith("/fetch/"):
            found |= {502}
        if jobs:
            found |= self._error_statuses_of_jobs()
        return sorted(found)

    def _error_statuses_of_jobs(self) -> set[int]:
        if self.path.endswith("/audio/"):
            # Not spoken yet, or gone; and what speech itself may have ended in.
            return {409, 410, 416, 500, 507}
        if self.path.endswith("/retry/"):
            return {409, 507}
        # No such voice, or no such job to list from; another body under the same Idempotency-Key.
        return {"POST": {404, 422, 507}, "GET": {404}}.get(str(self.method), set())


def short_paths(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """OpenAI's paths as its clients know them: without a slash at the end."""
    paths = result["paths"]
    result["paths"] = {name if name.startswith("/api/") else name.rstrip("/"): paths[name] for name in paths}
    return result
