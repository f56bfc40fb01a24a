"""The examples for nginx as they are in deploy/: only ports, addresses and the place of the certificate are changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.ports import free_port
from deploy.programs import Program, program
from tests.server_process import running_server
from tests.test_docs import ROOT
from tests.upstreams.serving import WAIT_SECONDS, closed_port

NGINX = ROOT / "deploy" / "nginx"
NAME = "voices.example.com"
WRAPPER = """
daemon off;
{user}
pid "{folder}/nginx.pid";
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    include "{folder}/neiroha.conf";
}}
"""


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    (folder / "voices.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "voices.key").write_bytes(private)


def changed(text: str, changes: dict[str, str]) -> str:
    """Each of them is there to be changed."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def write_site(folder: Path, web: int, dead: int) -> tuple[int, int]:
    """The site with TLS in front of two webs, one of which is down; its ports without and with TLS."""
    plain, secure = free_port(), free_port()
    make_certificate(folder)
    changes = {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{secure} ssl http2;",
        "127.0.0.1:8976": f"127.0.0.1:{dead}",
        "127.0.0.1:8977": f"127.0.0.1:{web}",
        "/etc/ssl/voices.pem": f"{folder}/voices.pem",
        "/etc/ssl/private/voices.key": f"{folder}/voices.key",
        "snippets/neiroha-proxy.conf": f"{NGINX}/neiroha-proxy.conf",
    }
    (folder / "neiroha.conf").write_text(changed((NGINX / "neiroha.conf").read_text(), changes))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(WRAPPER.format(folder=folder, user=user))
    return plain, secure


def command(folder: Path, *options: str) -> list[str]:
    nginx = program("nginx", "nginx-light", "/usr/sbin")
    return [nginx, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"), *options]


def refused(folder: Path) -> str:
    """What nginx says against the configuration in this folder."""
    finished = subprocess.run(command(folder, "-t", "-q"), capture_output=True, text=True, check=False, timeout=60)
    return finished.stderr if finished.returncode or "[warn]" in finished.stderr else ""


@contextmanager
def running_nginx(folder: Path, port: int) -> Iterator[None]:
    def answers() -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=5)
        except httpx.TransportError:
            return False
        return True

    nginx = Program("nginx", command(folder), folder / "log", answers)
    nginx.start()
    try:
        nginx.wait_until_ready()
        yield
    finally:
        nginx.ask_to_end()
        nginx.end()


def test_the_site_is_taken(tmp_path: Path) -> None:
    write_site(tmp_path, 8976, 8977)
    assert refused(tmp_path) == ""


def test_a_wrong_one_would_not_be(tmp_path: Path) -> None:
    write_site(tmp_path, 8976, 8977)
    site = tmp_path / "neiroha.conf"
    site.write_text(site.read_text().replace("least_conn;", "most_conn;"))
    assert 'unknown directive "most_conn"' in refused(tmp_path)


def test_that_of_the_compose_file_is_taken(tmp_path: Path) -> None:
    changes = {
        "/tmp/": f"{tmp_path}/",
        "/etc/nginx/neiroha-proxy.conf": f"{NGINX}/neiroha-proxy.conf",
        "listen 8080;": f"listen 127.0.0.1:{free_port()};",
    }
    text = changed((NGINX / "compose.conf").read_text(), changes)
    user = "user root;\n" if os.geteuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(user + text)
    assert refused(tmp_path) == ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of the site, without TLS and with it, in front of one web that runs and one that does not."""
    folder = tmp_path_factory.mktemp("site")
    variables = {
        "NEIROHA_PUBLIC_URL": f"https://{NAME}",
        "NEIROHA_TRUSTED_PROXIES": "127.0.0.1",
        "NEIROHA_ALLOW_OPEN_API": "true",
    }
    with running_server(folder / "data", variables=variables) as server, closed_port() as dead:
        plain, secure = write_site(folder, server.port, dead)
        with running_nginx(folder, plain):
            yield f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"


@pytest.fixture
def browser(site: tuple[str, str]) -> Iterator[httpx.Client]:
    _, secure = site
    headers = {"host": NAME}
    # The certificate is this test's own, and for another name than 127.0.0.1.
    with httpx.Client(base_url=secure, headers=headers, timeout=WAIT_SECONDS, trust_env=False, verify=False) as client:
        yield client


def test_without_tls_it_leads_to_tls(site: tuple[str, str]) -> None:
    answer = httpx.get(f"{site[0]}/admin/?a=b", headers={"host": NAME}, trust_env=False, timeout=WAIT_SECONDS)
    assert (answer.status_code, answer.headers["location"]) == (301, f"https://{NAME}/admin/?a=b")


def test_pages_know_that_they_came_by_tls(browser: httpx.Client) -> None:
    answer = browser.get("/admin/login/")
    assert answer.status_code == 200, "not a redirect to itself"
    assert "max-age" in answer.headers["strict-transport-security"]
    assert "Secure" in answer.headers["set-cookie"]


def test_a_client_can_not_say_otherwise(browser: httpx.Client) -> None:
    assert browser.get("/admin/login/", headers={"x-forwarded-proto": "http"}).status_code == 200


def test_a_web_that_is_down_is_passed_over(browser: httpx.Client) -> None:
    assert {browser.get("/v1/models").status_code for _ in range(10)} == {200}
    body = {"model": "Neiroha", "voice": "Heart", "input": "Hello.", "response_format": "wav"}
    assert {browser.post("/v1/audio/speech", json=body).content[:4] for _ in range(4)} == {b"RIFF"}


def test_where_no_web_answers_the_api_says_when_to_come_again(tmp_path: Path) -> None:
    with closed_port() as dead, closed_port() as another:
        plain, secure = write_site(tmp_path, another, dead)
        with running_nginx(tmp_path, plain):
            address, headers = f"https://127.0.0.1:{secure}", {"host": NAME}
            with httpx.Client(base_url=address, headers=headers, trust_env=False, verify=False) as client:
                answer = client.post("/v1/audio/speech", json={"input": "Hello."}, timeout=WAIT_SECONDS)
                page = client.get("/studio/", timeout=WAIT_SECONDS)
            assert (answer.status_code, answer.headers["retry-after"]) == (502, "1")
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error"]["code"] == "no_answer"
            assert (page.status_code, page.headers["content-type"]) == (502, "text/html"), "for people"
