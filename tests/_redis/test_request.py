"""A batch on the wire: packed once, its replies told apart."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from langgraph_guard._redis.delivery import runs
from langgraph_guard._redis.request import Command, Pipelined, Request, key_of, packed
from langgraph_guard._redis.scripts import Script

SCRIPT = Script("put", "return 1")


def test_a_command_is_packed_as_redis_reads_it() -> None:
    """Lengths are of bytes, not of characters."""
    assert packed([("SET", "é", 7, b"\0")]) == b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xa9\r\n$1\r\n7\r\n$1\r\n\0\r\n"


def test_a_script_is_called_by_its_hash() -> None:
    """Two kilobytes of Lua with each write would cost more than the write."""
    sha = SCRIPT.sha.encode()
    assert packed([(SCRIPT, 1, "k")]) == b"*4\r\n$7\r\nEVALSHA\r\n$40\r\n" + sha + b"\r\n$1\r\n1\r\n$1\r\nk\r\n"


def test_one_command_is_sent_alone_and_several_are_atomic() -> None:
    """MULTI costs two commands more: only where it buys something."""
    assert Request.of([("PING",)]).packed == packed([("PING",)])
    assert Request.of([("PING",), ("TIME",)]).packed == packed([("MULTI",), ("PING",), ("TIME",), ("EXEC",)])


def test_what_is_pipelined_is_sent_together_and_is_no_transaction() -> None:
    """A server that is full refuses MULTI, also of what only reads."""
    batch = Pipelined([("GET", "a"), ("GET", "b")])
    request = Request.of(batch, atomic=False)
    assert request.packed == packed(batch)
    assert request.results([b"1", None]) == [b"1", None]
    assert request.as_transaction() == Request.of(batch)


def test_an_error_of_a_pipelined_command_is_raised() -> None:
    """Behind replies that are sound."""
    with pytest.raises(redis.ResponseError):
        Request.of([("GET", "a"), ("GET", "b")], atomic=False).results([b"1", redis.ResponseError("WRONGTYPE no")])


def test_a_transaction_brings_its_scripts() -> None:
    """One that is not known would be noticed when the rest was done, and the rest would be done again."""
    batch: list[Command] = [("RPUSH", "k", "v"), (SCRIPT, 1, "k"), (SCRIPT, 1, "l")]
    load = ("SCRIPT", "LOAD", SCRIPT.source)
    assert Request.of(batch).packed == packed([("MULTI",), load, *batch, ("EXEC",)])
    replies = [b"OK", *[b"QUEUED"] * 4, [b"sha", 1, b"2", b"3"]]
    assert Request.of(batch).results(replies) == [1, b"2", b"3"]


def test_a_value_of_another_type_is_an_error_of_ours() -> None:
    """A float has more than one spelling; what is written must be what was meant."""
    with pytest.raises(TypeError):
        packed([("SET", "k", 1.5)])


def test_an_operation_names_commands_and_nothing_else() -> None:
    """It goes to logs: keys and values do not."""
    assert Request.of([(SCRIPT, 1, "secret"), ("GET", "secret"), ("GET", "other")]).operation == "put+GET"


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "k"), b"k"),
        (("hget", b"k", "f"), b"k"),
        ((SCRIPT, 2, "k", "l", "v"), b"k"),
        ((SCRIPT, 0, "v"), None),
        (("INFO", "memory"), None),
        (("TIME",), None),
        (("MEMORY", "USAGE", "k"), b"k"),
    ],
)
def test_the_key_of_a_command_is_found(command: Command, key: bytes | None) -> None:
    """A Cluster's servers refuse what is not theirs."""
    assert key_of(command) == key


def test_neighbours_of_one_slot_travel_together() -> None:
    """Each run is one round trip and atomic; order is kept; a command without a key joins any run."""
    batch: list[Command] = [("TIME",), ("GET", "{a}1"), ("INFO",), ("GET", "{a}2"), ("GET", "{b}"), ("GET", "{a}1")]
    assert [run for _, run in runs(batch)] == [batch[:4], batch[4:5], batch[5:]]
    assert [slot for slot, _ in runs(batch)] == [15_495, 3_300, 15_495]


QUEUED: list[Any] = [b"OK", b"QUEUED", b"QUEUED"]


def test_the_replies_of_a_transaction_are_those_of_its_commands() -> None:
    """MULTI and QUEUED are of no interest to a flow."""
    assert Request.of([("GET", "a"), ("GET", "b")]).results([*QUEUED, [b"1", None]]) == [b"1", None]


def test_a_command_that_was_not_queued_says_why() -> None:
    """EXECABORT alone would hide that a permission is missing."""
    refusal, abort = redis.exceptions.NoPermissionError("no"), redis.exceptions.ExecAbortError("previous errors")
    with pytest.raises(redis.exceptions.NoPermissionError):
        Request.of([("GET", "a"), ("GET", "b")]).results([b"OK", refusal, b"QUEUED", abort])


def test_an_error_inside_a_transaction_is_raised() -> None:
    """A result that is an exception would travel on as a value."""
    with pytest.raises(redis.ResponseError):
        Request.of([("GET", "a"), ("GET", "b")]).results([*QUEUED, [b"1", redis.ResponseError("WRONGTYPE no")]])
