"""The pages' own files, over the real application."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import unfold

PATH = "/static/unfold/css/styles.css"
CONTENT = (Path(unfold.__file__).parent / "static" / "unfold" / "css" / "styles.css").read_bytes()


@pytest.fixture(autouse=True)
def database(transactional_db: None) -> None:
    """The application is started on it."""


def test_a_file_comes_whole(client_http: httpx.Client) -> None:
    answer = client_http.get(PATH)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["content-type"] == 'text/css; charset="utf-8"'
    assert int(answer.headers["content-length"]) == len(CONTENT)


def test_an_unchanged_file_is_not_sent_again(client_http: httpx.Client) -> None:
    etag = client_http.get(PATH).headers["etag"]
    answer = client_http.get(PATH, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")
    assert "content-type" not in answer.headers


def test_a_part_of_a_file(client_http: httpx.Client) -> None:
    answer = client_http.get(PATH, headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, CONTENT[10:20])
    assert answer.headers["content-range"] == f"bytes 10-19/{len(CONTENT)}"
    beyond = client_http.get(PATH, headers={"Range": f"bytes={len(CONTENT) + 5}-"})
    assert beyond.status_code == 416


def test_head_and_other_methods(client_http: httpx.Client) -> None:
    head = client_http.head(PATH)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(CONTENT)
    assert client_http.post(PATH).status_code == 405


@pytest.mark.parametrize(
    "path", ["/static/", "/static/unfold/css/none.css", "/static/../manage.py", "/static/%2e%2e/manage.py"]
)
def test_nothing_else_is_served(client_http: httpx.Client, path: str) -> None:
    assert client_http.get(path).status_code == 404
