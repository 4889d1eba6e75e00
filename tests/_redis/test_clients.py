"""What a link takes over from a user's client: all that says where and as whom, nothing of how often to retry."""

from __future__ import annotations

from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from langgraph_guard._redis.clients import CONNECTIONS, Direct, Place, Settings, Sharded, Watched
from langgraph_guard.errors import ConfigError

WORLDS = {"sync": redis, "async": redis.asyncio}
TLS = {
    "ssl": True,
    "ssl_ca_certs": "/ca.pem",
    "ssl_certfile": "/mine.pem",
    "ssl_keyfile": "/mine.key",
    "ssl_check_hostname": True,
    "ssl_cert_reqs": "required",
}

worlds = pytest.mark.parametrize("world", WORLDS)


def both(settings: Settings) -> list[Settings]:
    """As given, and as the other world sees it."""
    return [settings, settings.in_other_world()]


@worlds
def test_address_and_credentials_are_taken_over(world: str) -> None:
    """To both worlds alike."""
    client = WORLDS[world].Redis(host="h", port=7, db=3, username="u", password="p", client_name="n")
    for settings in both(Settings.of_client(client)):
        made = settings.connection(Place())
        assert (made.host, made.port, made.db, made.username, made.password) == ("h", 7, 3, "u", "p")
        assert made.client_name == "n"


@worlds
def test_tls_settings_are_taken_over(world: str) -> None:
    """A check that is lost on the way is a hole that nobody sees."""
    for settings in both(Settings.of_client(WORLDS[world].Redis(host="h", **TLS))):
        made = settings.connection(Place())
        assert type(made).__name__ == "SSLConnection"
        assert made.ca_certs == "/ca.pem"
        assert made.check_hostname is True
        arguments = settings.terms.arguments
        assert {name: arguments[name] for name in TLS if name != "ssl"} == {
            name: value for name, value in TLS.items() if name != "ssl"
        }


def test_a_tls_setting_without_a_twin_is_not_dropped() -> None:
    """The other world asks for its own client instead."""
    settings = Settings.of_client(redis.Redis(host="h", ssl=True, ssl_validate_ocsp=True))
    with pytest.raises(ConfigError, match="ssl_validate_ocsp has no twin"):
        settings.in_other_world()


def test_a_kind_of_connection_without_a_twin_is_not_guessed() -> None:
    """A tunnel, a fake: the plain connection of the other world would go somewhere else."""

    class Tunnel(redis.Connection):
        """Goes another way."""

    settings = Settings.of_client(redis.Redis(connection_pool=redis.ConnectionPool(connection_class=Tunnel)))
    assert type(settings.connection(Place())) is Tunnel
    with pytest.raises(ConfigError, match="Tunnel has no twin"):
        settings.in_other_world()


@worlds
def test_a_unix_socket_is_taken_over(world: str) -> None:
    """With its database."""
    client = WORLDS[world].Redis(unix_socket_path="/tmp/redis.sock", db=2)
    for settings in both(Settings.of_client(client)):
        made = settings.connection(Place())
        assert (made.path, made.db) == ("/tmp/redis.sock", 2)


def test_credentials_that_change_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud's tokens last an hour."""
    provider = redis.UsernamePasswordCredentialProvider("u", "p")
    for settings in both(Settings.of_client(redis.Redis(credential_provider=provider))):
        assert settings.connection(Place()).credential_provider is provider


@worlds
def test_the_number_of_connections_is_taken_over(world: str) -> None:
    """Managed servers count them; and "as many as you like" is not a number."""
    client = WORLDS[world].Redis(max_connections=7)
    assert [settings.connections for settings in both(Settings.of_client(client))] == [7, 7]
    boundless = WORLDS[world].Redis(max_connections=2**31)
    assert Settings.of_client(boundless).connections == CONNECTIONS


def test_retries_protocol_and_decoding_are_ours() -> None:
    """A client's ten retries inside each of ours would be a hundred."""
    client = redis.Redis(retry=Retry(NoBackoff(), 10), protocol=3, decode_responses=True)
    for settings in both(Settings.of_client(client)):
        made = settings.connection(Place())
        assert (made.retry._retries, made.protocol, made.encoder.decode_responses) == (0, 2, False)


@pytest.mark.parametrize("kind", [redis.sentinel.Sentinel, redis.asyncio.sentinel.Sentinel])
def test_sentinels_and_their_own_credentials_are_taken_over(kind: Any) -> None:
    """They are other servers, with other users."""
    sentinel = kind([("s", 1), ("t", 2)], sentinel_kwargs={"password": "watch"}, password="store")
    for settings in both(Settings.of_client(sentinel.master_for("mine"))):
        assert isinstance(settings.topology, Watched)
        assert settings.topology.sentinels == (Place("s", 1, True), Place("t", 2, True))
        made = settings.connection(settings.topology.sentinels[1])
        assert (made.host, made.port, made.password) == ("t", 2, "watch")
        master = settings.connection(Place("m", 3))
        assert (type(master).__name__, master.host, master.password) == ("Connection", "m", "store")


def test_a_cluster_s_first_nodes_are_taken_over() -> None:
    """The client need not be connected."""
    nodes = [redis.asyncio.cluster.ClusterNode("a", 1), redis.asyncio.cluster.ClusterNode("b", 2)]
    client = redis.asyncio.RedisCluster(startup_nodes=nodes, password="p", ssl=True)
    for settings in both(Settings.of_client(client)):
        assert isinstance(settings.topology, Sharded)
        assert set(settings.topology.nodes) == {Place("a", 1), Place("b", 2)}
        made = settings.connection(Place("a", 1))
        assert (type(made).__name__, made.host, made.password) == ("SSLConnection", "a", "p")


def test_a_url_is_read_as_the_driver_reads_it() -> None:
    """All of its schemes and options."""
    settings = Settings.of_url("rediss://u:p%40@h:7/3?max_connections=9", socket_timeout=2.5, ssl_ca_certs="/ca.pem")
    made = settings.connection(Place())
    assert (made.host, made.port, made.db, made.password, made.ca_certs) == ("h", 7, 3, "p@", "/ca.pem")
    assert (settings.topology, settings.connections, settings.terms.patience) == (Direct(), 9, 2.5)


def test_settings_show_no_secret() -> None:
    """They end up in a debugger's window and in a log."""
    assert "hunter2" not in repr(Settings.of_url("redis://user:hunter2@h"))
