"""The user that `check.py` prescribes may do all that the saver does, and not one command too much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_guard.checkpoint.redis import RedisSaver, check
from langgraph_guard.testing.contracts.saver import STORED_TYPES
from langgraph_guard.testing.contracts.saver.copying import Copying
from langgraph_guard.testing.contracts.saver.deletion import Deletion, Runs
from langgraph_guard.testing.contracts.saver.delta import History
from langgraph_guard.testing.contracts.saver.harness import Author, Both, at
from langgraph_guard.testing.contracts.saver.listing import Listing
from langgraph_guard.testing.contracts.saver.pruning import Pruning
from langgraph_guard.testing.contracts.saver.writes import Writes
from tests.servers.redis import HOST, RedisServer

PRESCRIBED = re.search(r"ACL SETUSER saver on >secret (.*?)\n\n", check.__doc__ or "", re.DOTALL)
RULES = PRESCRIBED[1].split() if PRESCRIBED else []
COMMANDS = [rule[1:] for rule in RULES if rule.startswith("+")]


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisServer]:
    """A server on which `saver` may do what is prescribed."""
    with RedisServer() as server:
        server.tell("ACL", "SETUSER", "saver", "on", ">secret", *RULES)
        yield server


def connect(server: RedisServer, user: str = "saver", **options: Any) -> RedisSaver:
    """A saver that is such a user."""
    url = f"redis://{user}:secret@{HOST}:{server.port}"
    return RedisSaver.from_conn_string(url, allowed_types=STORED_TYPES, **options)


class TestSmallestUser(Writes, Listing, Deletion, Runs, Copying, Pruning, History):
    """Every kind of operation, by a user with nothing to spare."""

    @pytest.fixture(autouse=True)
    def _server(self, guarded: RedisServer) -> None:
        self.server = guarded
        guarded.tell("FLUSHALL")

    def make_saver(self) -> RedisSaver:
        return connect(self.server)

    def another(self, saver: Any) -> RedisSaver:
        return connect(self.server)

    def close(self, saver: Any) -> None:
        saver.close()

    async def aclose(self, saver: Any) -> None:
        await saver.aclose()


def test_a_thread_with_a_ttl_is_kept_and_read(guarded: RedisServer) -> None:
    """Expiry has commands of its own, and so has taking it back."""
    for ttl in (60, None):
        with connect(guarded, ttl=ttl) as saver:
            Author(Both(saver, None)).put(1, {"n": 1})
            assert saver.get_tuple(at()) is not None


def test_the_smallest_user_passes_the_check(guarded: RedisServer) -> None:
    """What it may not ask for is a warning: the saver works without."""
    report = connect(guarded).check()
    assert report.ok, str(report)
    assert ["could not be read" in each.says for each in report.of("warning")] == [True]


def test_with_information_the_check_sees_more(guarded: RedisServer) -> None:
    """As the page says: two more rights."""
    guarded.tell("ACL", "SETUSER", "seer", "on", ">secret", *RULES, "+info", "+config|get")
    names = {each.name for each in connect(guarded, "seer").check().findings}
    assert {"version", "role", "eviction", "memory", "persistence"} < names


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_right_is_named(guarded: RedisServer, command: str) -> None:
    """A script that is stopped half-way leaves half a change, so each right is tried before the first thread."""
    guarded.tell("FLUSHALL")
    guarded.tell(
        "ACL", "SETUSER", "lesser", "reset", "on", ">secret", *(rule for rule in RULES if rule != f"+{command}")
    )
    report = connect(guarded, "lesser").check()
    assert [each.says.partition("SETUSER … ")[2] for each in report.of("error")] == [f"+{command}"]
    assert guarded.tell("DBSIZE") == 0


def test_all_missing_rights_are_named_at_once(guarded: RedisServer) -> None:
    """Not one after the other, restart by restart."""
    guarded.tell("ACL", "SETUSER", "lesser", "reset", "on", ">secret", *RULES, "-zadd", "-copy", "-multi", "-srem")
    (error,) = connect(guarded, "lesser").check().of("error")
    assert error.says.endswith("+zadd +copy +srem +multi")


def test_keys_that_are_out_of_bounds_are_named(guarded: RedisServer) -> None:
    """The usual mistake after a prefix was changed."""
    (error,) = connect(guarded, prefix="other").check().of("error")
    assert error.says.endswith("~other:*")


def test_a_command_that_was_taken_away_is_named() -> None:
    """Some services rename commands, and old servers do not have them all."""
    with RedisServer("rename-command COPY nothing") as server:
        (error,) = RedisSaver.from_conn_string(server.url).check().of("error")
    assert "does not know COPY" in error.says


def test_a_user_without_any_right_is_told_all(guarded: RedisServer) -> None:
    """The first thing that an administrator does is to make a user."""
    guarded.tell("ACL", "SETUSER", "nobody", "reset", "on", ">secret", "~*")
    (error,) = connect(guarded, "nobody").check().of("error")
    named = {rule[1:] for rule in error.says.split() if rule.startswith("+")}
    assert named == set(COMMANDS) - {"evalsha", "exec"}  # behind `script|load` and `multi`
