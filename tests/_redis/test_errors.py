"""What the driver's errors mean: told by their code, so that every release of the driver is understood."""

from __future__ import annotations

import ssl

import pytest
import redis
from redis import exceptions

from langgraph_guard._redis import errors
from langgraph_guard.errors import StoreRefused, StoreUnavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
        (redis.ResponseError("OOM command not allowed when used memory > 'maxmemory'."), "OOM"),
        (
            redis.ResponseError("Error running script (call to f_0): @user_script:1: -READONLY You can't write"),
            "READONLY",
        ),
        (redis.ResponseError("Error running script (call to f_0): @user_script:1: WRONGTYPE Operation"), "WRONGTYPE"),
        (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "MISCONF"),
        (redis.AuthenticationError("invalid username-password pair or user is disabled."), "WRONGPASS"),
        (redis.AuthenticationError("Authentication required."), "NOAUTH"),
        (redis.ResponseError("unknown command 'EVALSHA', with args beginning with: 'secret'"), "UNKNOWN"),
        (redis.ResponseError("Protocol error: unauthenticated multibulk length"), "NOAUTH"),
        (redis.ResponseError("wrong number of arguments for 'get' command"), "ERR"),
        (redis.ResponseError("MOVED 3999 127.0.0.1:6381"), "MOVED"),
        (redis.ConnectionError("Connection closed by server."), ""),
    ],
)
def test_a_reply_is_known_by_its_code(error: Exception, code: str) -> None:
    """redis-py 5 has no class for half of them."""
    assert errors.code(error) == code


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (exceptions.NoScriptError("No matching script."), "load"),
        (exceptions.MovedError("3999 127.0.0.1:6381"), "moved"),
        (redis.ResponseError("ASK 3999 127.0.0.1:6381"), "ask"),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), "wait"),
        (exceptions.ClusterDownError("The cluster is down"), "reconnect"),
        (exceptions.MasterDownError("Link with MASTER is down"), "reconnect"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "reconnect"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "reconnect"),
        (redis.ConnectionError("max number of clients reached"), "reconnect"),
        (redis.TimeoutError("Timeout reading from socket"), "reconnect"),
        (ConnectionResetError(), "reconnect"),
        (TimeoutError(), "reconnect"),
        (errors.PoolBusy(4), "wait"),
        (exceptions.OutOfMemoryError("no"), "none"),
        (redis.AuthenticationError("no"), "none"),
        (exceptions.NoPermissionError("no"), "none"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "none"),
        (TypeError("a bug of ours"), "none"),
    ],
)
def test_what_cannot_be_helped_is_not_tried_again(error: Exception, remedy: str) -> None:
    """Ten seconds of retries on a wrong password are ten seconds without an answer."""
    assert errors.remedy(error) == remedy


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (exceptions.OutOfMemoryError("no"), "it is out of memory (maxmemory)"),
        (redis.ReadOnlyError("no"), "it is a read-only replica"),
        (exceptions.NoPermissionError("no"), "the user has no permission for this command or these keys (ACL)"),
        (redis.ResponseError("something with 'secret'"), "it answered with an error (ERR)"),
    ],
)
def test_a_refusal_says_why_in_our_words(error: Exception, reason: str) -> None:
    """The server's own message may quote arguments."""
    assert str(errors.final(error, "put", 1.0)) == f"redis refused put: {reason}"


def test_what_did_not_come_is_unavailable() -> None:
    """Refused and unavailable are handled by different people."""
    assert isinstance(errors.final(redis.ConnectionError("gone"), "put", 1.0), StoreUnavailable)
    assert isinstance(errors.final(redis.BusyLoadingError("loading"), "put", 1.0), StoreUnavailable)


def test_a_certificate_that_is_not_trusted_is_a_refusal() -> None:
    """It will not be trusted in ten seconds either."""
    error = redis.ConnectionError("Error 1 connecting")
    error.__context__ = ssl.SSLCertVerificationError("self-signed certificate")
    assert errors.remedy(error) == "none"
    assert isinstance(errors.final(error, "put", 0.0), StoreRefused)


def test_an_error_of_ours_stays_what_it_is() -> None:
    """A bug is not an unavailable server."""
    assert errors.final(TypeError("a bug"), "put", 0.0) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [("3999 127.0.0.1:6381", ("127.0.0.1", 6381)), ("MOVED 3999 ::1:6381", ("::1", 6381)), ("3999 :6381", ("", 6381))],
)
def test_a_redirection_is_read(text: str, place: tuple[str, int]) -> None:
    """With an IPv6 address, and with none, which means the host that was asked."""
    assert errors.target(redis.ResponseError(text)) == place
