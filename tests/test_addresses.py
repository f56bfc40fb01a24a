"""The addresses of PostgreSQL and Redis, and what is said of one that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from neiroha_site import addresses
from tests.server_process import manage

PASSWORD = "p@ss/w:rd?#%"
ENCODED = "p%40ss%2Fw%3Ard%3F%23%25"


def test_all_parts_of_an_address() -> None:
    found = addresses.postgresql(f"postgresql://ne%40iroha:{ENCODED}@db.example.com:6543/my%2Fdata?sslmode=require")
    assert (found["USER"], found["PASSWORD"], found["NAME"]) == ("ne@iroha", PASSWORD, "my/data")
    assert (found["HOST"], found["PORT"]) == ("db.example.com", "6543")
    assert found["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("postgres://db/neiroha", "db", ""),
        ("postgresql://[2001:db8::5]:5433/neiroha", "2001:db8::5", "5433"),
        ("postgresql://u@127.0.0.1/neiroha", "127.0.0.1", ""),
        ("postgresql:///neiroha?host=/run/postgresql", "", ""),
        ("postgresql://u@/neiroha?host=/run/postgresql&port=5433", "", ""),
    ],
)
def test_where_the_server_is(address: str, host: str, port: str) -> None:
    found = addresses.postgresql(address)
    assert (found["HOST"], found["PORT"], found["NAME"]) == (host, port, "neiroha")
    if "?" in address:
        assert found["OPTIONS"]["host"] == "/run/postgresql"


def test_connections_are_pooled_and_looked_at_and_not_waited_for_without_end() -> None:
    found = addresses.postgresql("postgresql://db/neiroha")
    assert found["OPTIONS"] == {"connect_timeout": "10", "pool": addresses.POOL}
    assert found["CONN_HEALTH_CHECKS"] is True
    assert addresses.postgresql("postgresql://db/neiroha?connect_timeout=2")["OPTIONS"]["connect_timeout"] == "2"


@pytest.mark.parametrize("option", ["pool", "assume_role", "isolation_level", "cursor_factory", "context", "no-such"])
def test_options_are_those_of_postgresqls_client(option: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"knows no option '{option}'"):
        addresses.postgresql(f"postgresql://db/neiroha?{option}=1")


@pytest.mark.parametrize(
    "address",
    [
        f"mysql://u:{ENCODED}@db/neiroha",
        f"postgresql://u:{ENCODED}@db:port/neiroha",
        f"postgresql://u:{ENCODED}@db:99999/neiroha",
        f"postgresql://u:{PASSWORD}@db/neiroha",
        f"postgresql://u:{ENCODED}@[::1/neiroha",
        f"postgresql://u:{ENCODED}@db",
        f"postgresql://u:{ENCODED}@db/",
        f"postgresql:///neiroha?password={ENCODED}",
        f"{ENCODED}",
    ],
)
def test_a_bad_address_is_told_without_its_password(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NEIROHA_DATABASE_URL") as told:
        addresses.postgresql(address)
    assert "p%40ss" not in str(told.value) and "p@ss" not in str(told.value)
    assert told.value.__cause__ is None


@pytest.mark.parametrize("address", ["redis://redis", "redis://:secret@redis:6380/3", "rediss://u:secret@[::1]:6379/0"])
def test_a_redis(address: str) -> None:
    assert addresses.redis(address) == address


@pytest.mark.parametrize("address", ["http://redis", "redis://:secret@redis:port", "redis://:secret@/0", "redis:"])
def test_a_bad_redis_is_told_without_its_password(address: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NEIROHA_REDIS_URL must be an address") as told:
        addresses.redis(address)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("path", ["/name", "/-1", "/²", "/0/1"])
def test_databases_of_redis_have_numbers(path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="number of a database"):
        addresses.redis(f"redis://:secret@redis{path}")


def test_installations_on_one_redis_are_told_apart() -> None:
    prefixes = {addresses.redis_layer(f"redis://redis{path}")["prefix"] for path in ("", "/0", "/1", "/10")}
    assert len(prefixes) == 3


def test_a_server_that_does_not_answer_is_told_without_the_password(tmp_path: Path) -> None:
    variables = {"NEIROHA_DATABASE_URL": f"postgresql://neiroha:{ENCODED}@127.0.0.1:1/neiroha"}
    ended = manage(tmp_path, "serve", "--port", "0", variables=variables)
    assert ended.returncode == 1 and "The database neiroha can't be used" in ended.stderr
    assert "p@ss" not in ended.stderr and "p%40ss" not in ended.stderr and "Traceback" not in ended.stderr
