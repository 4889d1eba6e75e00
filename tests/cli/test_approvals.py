"""`langgraph-guard approvals`: what people see of calls that wait for them, and that their word counts."""

from __future__ import annotations

import io
import json
import socket
import sqlite3
import sys
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_guard import ApprovalRule, SqliteBackend, cli
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.cli.approvals.text import cut, legible, value
from langgraph_guard.cli.budgets.arguments import URL
from langgraph_guard.events import SCHEMA, subscribe
from langgraph_guard.policies.approval.actions import Action
from langgraph_guard.policies.approval.commands import Decide, Look, Request
from langgraph_guard.policies.outbox import Claim, Claimed, EffectKey, Failed
from langgraph_guard.testing import FakeClock
from tests.cli import approving
from tests.cli.approving import Agent
from tests.servers.redis import RedisServer, redis_server

__all__ = ["redis_server"]

TENANT: Final = "acme"
SECRET: Final = "hunter2"
GRAPH: Final = ("--graph", "tests.cli.approving:graph")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    """A file that the agent and the command share."""
    with SqliteBackend(tmp_path / "guard.db", tenant=TENANT) as found:
        yield found


@pytest.fixture
def agent(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """An agent whose calls of `send` need one person."""
    return exposed(Agent(backend), monkeypatch)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command on that file: how it ends, what it prints, and what it complains of."""

    def said(*words: str) -> tuple[int, str, str]:
        code = cli.main(["approvals", *words, "--sqlite", str(tmp_path / "guard.db"), "--tenant", TENANT])
        return code, *capsys.readouterr()

    return said


def exposed(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """The agent, where `--graph` finds it."""
    monkeypatch.setattr(approving, "graph", agent.graph)
    return agent


def look(backend: SqliteBackend, id: str) -> Any:
    """The request as the desk has it."""
    ((found,),) = backend.desk.execute([Look(TENANT, (id,))])  # type: ignore[misc]
    return found


class Terminal(io.StringIO):
    """A keyboard."""

    def isatty(self) -> bool:
        return True


# Looking


def test_what_waits_is_listed_with_who_asks(agent: Agent, command: Command) -> None:
    """The question of whoever comes to the desk."""
    (waits,) = agent.ask({"text": "hello"}, thread="order 7")
    code, shown, _ = command("list")
    assert code == 0
    assert all(each in shown for each in (waits.id, 'send(text="hello")', "thread order 7", "asked by ada"))


def test_an_empty_desk_says_so(agent: Agent, command: Command) -> None:
    """Most often, the tenant is another one."""
    assert command("list")[:2] == (0, "nothing waits for anybody's word\n")


def test_one_thread_can_be_asked_for(agent: Agent, command: Command) -> None:
    """Support looks at one customer's."""
    agent.ask({"text": "one"}, thread="a")
    agent.ask({"text": "two"}, thread="b")
    _, shown, _ = command("list", "--thread", "b", "--json")
    assert [each["args"] for each in json.loads(shown)] == [{"text": "two"}]


def test_a_long_list_is_cut_and_says_so(agent: Agent, command: Command) -> None:
    """The oldest stand first: they have waited longest."""
    for number in range(4):
        agent.ask({"text": f"number {number}"}, thread=f"{number}")
    _, shown, _ = command("list", "--top", "2")
    assert [f"number {number}" in shown for number in range(4)] == [True, True, False, False]
    assert "and more" in shown
    assert len(json.loads(command("list", "--top", "2", "--json")[1])) == 2
    assert len(json.loads(command("list", "--json")[1])) == 4


def test_another_tenant_sees_nothing(agent: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor can it decide."""
    (waits,) = agent.ask()
    other = ("--sqlite", str(tmp_path / "guard.db"), "--tenant", "other")
    assert cli.main(["approvals", "list", *other]) == 0
    assert waits.id not in capsys.readouterr().out
    assert cli.main(["approvals", "approve", waits.id, "--by", "bob", "--yes", *other]) == 1


def test_one_request_shows_all_that_a_decision_needs(
    backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs, for whom, and whose word it takes."""
    rule = ApprovalRule(quorum=2, roles="manager", reviewers=["bob"] * 1 + ["eve"], description="money leaves")
    (waits,) = exposed(Agent(backend, rule), monkeypatch).ask()
    code, shown, _ = command("show", waits.id)
    told = " ".join(shown.split())
    assert code == 0
    assert 'argument text = "hello"' in told
    assert f"digest {waits.digest}" in told
    assert "why money leaves" in told
    assert "needs 2 people of: bob, eve, anybody who is manager; may approve, edit, reject" in told


def test_an_id_that_nobody_knows_ends_with_one(agent: Agent, command: Command) -> None:
    """A short beginning of an id is none; and to agree to whatever stands there takes all of it: others could be made
    that begin alike."""
    (waits,) = agent.ask()
    assert command("show", waits.id[:7])[0] == 1
    assert command("approve", waits.id[:8], "--yes", "--by", "bob")[0] == 1


# What models write cannot draw on the screen


FORGED: Final = {
    "a cleared screen": "\x1b[2J\x1b[Hstate approved by the boss",
    "a returned carriage": "harmless\rstate approved",
    "a new line": "x\nstate     approved by the boss",
    "another line break": "x\u2028state     approved\x85state approved",
    "a direction": "\u202egnp.exe\u2066",
    "what is not seen": "a\u200bb\u00adc\u2800d\u3164e\ufe0ff\U000e0041",
    "markup": "[bold red]approved[/bold red]",
    "a link": "\x1b]8;;http://evil\x07click\x1b]8;;\x07",
    "a row of blanks": f"x{' ' * 200}state     approved by the boss",
}

HIDDEN: Final = "\u034f\u115f\u1160\u17b4\u2800\u3164\uffa0\ufe0f\U000e0100"


@pytest.mark.parametrize("name", FORGED)
def test_an_argument_cannot_draw_on_the_screen(name: str, agent: Agent, command: Command) -> None:
    """It was written by a model that reads strangers' text, and the reviewer believes the screen."""
    (waits,) = agent.ask({"text": FORGED[name], FORGED[name]: 1}, thread=FORGED[name], user=FORGED[name])
    for words in (["list"], ["show", waits.id]):
        code, shown, _ = command(*words)
        assert code == 0
        assert all(legible(each) == each for each in shown.split("\n"))
        assert not any(each.startswith("state") and "approved" in each for each in shown.split("\n"))


@given(st.text())
def test_text_on_the_screen_has_only_what_is_seen(text: str) -> None:
    """Whatever Unicode adds: letters, marks, figures and blanks, and nothing that steers."""
    assert all(unicodedata.category(each)[0] in "LMNPS" or each == " " for each in legible(text))


@pytest.mark.parametrize("character", HIDDEN, ids=ascii)
def test_what_is_printable_and_not_seen_is_written_out(character: str) -> None:
    """Fillers and blanks of other scripts count as letters and symbols."""
    assert legible(f"a{character}b") == f"a{ascii(character)[1:-1]}b"


def test_markup_is_shown_as_it_is(agent: Agent, command: Command) -> None:
    """What a terminal is told of colours comes from here alone."""
    (waits,) = agent.ask({"text": "[bold red]gone[/]"})
    assert all("[bold red]gone[/]" in command(*words)[1] for words in (["list"], ["show", waits.id]))


@example("\n", "\\n")
@example('", to="eve', '\\", to=\\"eve')
@given(st.text(max_size=20), st.text(max_size=20))
def test_two_arguments_never_look_the_same(one: str, other: str) -> None:
    """An escape that stands in a text is told from the character that it means."""
    assert (value(one) == value(other)) == (one == other)


def test_letters_that_look_like_others_are_told_from_them(agent: Agent, command: Command) -> None:
    """An а of another alphabet, in an address."""
    (waits,) = agent.ask({"text": "p\u0430ypal.com"})
    assert "p\\u0430ypal.com" in command("show", waits.id)[1]


def test_a_long_argument_is_cut_and_says_how_long_it_is(agent: Agent, command: Command) -> None:
    """A wall of text hides what stands in it; nobody may believe that they saw all."""
    text = "a" * 5_000 + "pay 9,999" + "b" * 5_000 + "the end"
    (waits,) = agent.ask({"text": text})
    shown = "".join(command("show", waits.id)[1].split())
    assert "9,418of10,018charactersleftout" in shown
    assert "theend" in shown
    assert "pay9,999" in "".join(command("show", waits.id, "--full")[1].split())


@given(st.text(max_size=3_000), st.integers(8, 700))
def test_what_is_cut_says_how_much(text: str, most: int) -> None:
    """And what is not, is whole."""
    shown = cut(text, most)
    assert shown == legible(text) if len(text) <= most else f"{len(text) - most:,} of {len(text):,}" in shown


# Deciding at the desk


def test_who_is_logged_in_decides(
    agent: Agent, backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody types their own name each time."""
    monkeypatch.setenv("LOGNAME", "grace")
    (waits,) = agent.ask()
    assert command("approve", waits.id, "--yes")[0] == 0
    assert look(backend, waits.id).decided_by == ("grace",)


def test_what_was_decided_at_the_desk_is_found_when_the_run_goes_on(agent: Agent, command: Command) -> None:
    """The reviewer need not have the program; the program need not be told the answer."""
    (waits,) = agent.ask()
    code, shown, _ = command("approve", waits.id, "--by", "bob", "--yes")
    assert code == 0
    assert f"approvals resume {waits.id} --graph" in shown
    assert agent.sent == []
    agent.graph.invoke(None, {"configurable": {"thread_id": "t"}}, durability="sync")
    assert agent.sent == [{"text": "hello"}]


def test_the_second_reviewer_hears_who_was_first(agent: Agent, command: Command) -> None:
    """Approve and reject: the first counts."""
    (waits,) = agent.ask()
    assert command("approve", waits.id, "--by", "bob", "--yes")[0] == 0
    code, shown, _ = command("reject", waits.id, "--by", "eve", *GRAPH)
    assert (code, shown) == (1, "it did not count: it was approved already, by bob\n")
    assert agent.sent == [], "the loser lets nothing run"


def test_roles_are_said(backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rule asks for a manager."""
    (waits,) = exposed(Agent(backend, ApprovalRule(roles="manager")), monkeypatch).ask()
    assert command("approve", waits.id, "--by", "bob", "--yes")[0] == 1
    assert command("approve", waits.id, "--by", "bob", "--yes", "--roles", "staff,manager")[0] == 0


def test_an_approval_is_of_the_action_that_was_seen(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """Another reviewer may have replaced the arguments since."""
    (waits,) = agent.ask()
    code, shown, _ = command("approve", waits.id, "--by", "bob", "--digest", "0" * 12, *GRAPH)
    assert (code, look(backend, waits.id).state) == (1, "pending")
    assert "another than the one that was seen" in shown
    assert command("approve", waits.id, "--by", "bob", "--digest", waits.digest[:12])[0] == 0


def test_a_script_says_what_it_saw(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """Nobody is there to be asked."""
    (waits,) = agent.ask()
    code, _, complaint = command("approve", waits.id, "--by", "bob")
    assert (code, look(backend, waits.id).state) == (2, "pending")
    assert "--digest" in complaint


@pytest.mark.parametrize(
    ("typed", "code", "state"), [("yes\n", 0, "approved"), ("y\n", 1, "pending"), ("", 1, "pending")]
)
def test_a_person_is_shown_what_will_run_and_asked(
    typed: str,
    code: int,
    state: str,
    agent: Agent,
    backend: SqliteBackend,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Return is no agreement, and neither is the end of the input."""
    (waits,) = agent.ask()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    ended, shown, _ = command("approve", waits.id, "--by", "bob")
    assert (ended, look(backend, waits.id).state) == (code, state)
    assert 'text = "hello"' in shown


# The run


def test_an_approval_lets_the_run_go_on(agent: Agent, command: Command) -> None:
    """From another terminal, as whoever asked for it, once."""
    (waits,) = agent.ask(user="ada")
    code, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert (code, shown) == (0, "send is approved by bob\nits run went on, and ended\n")
    assert agent.sent == [{"text": "hello"}]
    assert agent.asked_by == ["ada"], "a reviewer's command must not spend the reviewer's budget"


def test_the_same_word_twice_has_one_effect(agent: Agent, command: Command) -> None:
    """Whoever did not see the answer says it again."""
    (waits,) = agent.ask()
    said = ("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert [command(*said)[0] for _ in range(2)] == [0, 0]
    assert agent.sent == [{"text": "hello"}]


def test_a_rejected_call_does_not_run_and_the_model_is_told_why(agent: Agent, command: Command) -> None:
    """What the reviewer says reaches it."""
    (waits,) = agent.ask()
    assert command("reject", waits.id, "--by", "bob", "--message", "not on a Sunday", *GRAPH)[0] == 0
    assert agent.sent == []
    assert "not on a Sunday" in agent.answer()


def test_an_edit_runs_instead(agent: Agent, command: Command, tmp_path: Path) -> None:
    """All of its arguments, from the command line or from a file."""
    (waits,) = agent.ask()
    file = tmp_path / "args.json"
    file.write_text('{"text": "good morning"}')
    said = ("--by", "bob", "--digest", waits.digest, *GRAPH)
    assert command("edit", waits.id, "--args", f"@{file}", *said)[0] == 0
    assert agent.sent == [{"text": "good morning"}]


def test_a_reviewer_answers_in_the_place_of_the_tool(
    backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rule allows it."""
    agent = exposed(Agent(backend, ApprovalRule(allowed_decisions=["respond"])), monkeypatch)
    (waits,) = agent.ask()
    assert command("respond", waits.id, "--by", "bob", "--message", "they know already", *GRAPH)[0] == 0
    assert (agent.sent, agent.answer()) == ([], "done: they know already")


def test_a_quorum_lets_it_go_on_when_it_is_full(
    backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two is noted, and nothing runs."""
    agent = exposed(Agent(backend, ApprovalRule(quorum=2)), monkeypatch)
    (waits,) = agent.ask()
    first = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert first[:2] == (0, "noted; 1 of 2 people have agreed\n")
    assert agent.sent == []
    assert command("approve", waits.id, "--by", "eve", "--yes", *GRAPH)[0] == 0
    assert agent.sent == [{"text": "hello"}]


@pytest.mark.parametrize("way", ["hitl", "per_call", "inbox"])
def test_the_others_of_a_batch_still_wait(
    way: str, backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order, and however the node asks."""
    agent = exposed(Agent(backend, format=way), monkeypatch)
    agent.ask({"text": "one"}, {"text": "two"})
    one, two = sorted(agent.waiting(), key=lambda each: each.args)
    _, shown, _ = command("approve", two.id, "--by", "bob", "--yes", *GRAPH)
    assert "its run waits for other decisions" in shown
    assert agent.sent == []
    assert command("reject", one.id, "--by", "bob", *GRAPH)[0] == 0
    assert agent.sent == [{"text": "two"}]


def test_a_graph_on_another_desk_is_noticed(
    agent: Agent, backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would ask for ever, and everybody would believe that it was decided."""
    (waits,) = agent.ask()
    with SqliteBackend(tmp_path / "other.db", tenant=TENANT) as another:
        elsewhere = Agent(another)
        elsewhere.graph.checkpointer = agent.graph.checkpointer
        exposed(elsewhere, monkeypatch)
        code, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert code == 1
    assert "is its graph on this desk" in shown


def test_a_run_that_waits_for_something_else_is_left_alone(agent: Agent, command: Command) -> None:
    """To go on there would be to decide something else."""
    (waits,) = agent.ask()
    agent.graph.update_state({"configurable": {"thread_id": "t"}}, {"messages": []}, as_node="tools")
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert "left as it is" in shown
    assert (agent.sent, agent.asked_by) == ([], [])


def test_what_was_decided_lets_the_run_go_on_later(agent: Agent, command: Command) -> None:
    """By whoever has the program."""
    (waits,) = agent.ask()
    assert command("resume", waits.id, *GRAPH)[0] == 1, "nobody has decided"
    command("approve", waits.id, "--by", "bob", "--yes")
    assert command("resume", waits.id, *GRAPH)[0] == 0
    assert agent.sent == [{"text": "hello"}]


def test_a_sweep_closes_what_is_late_and_its_run_goes_on(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangGraph has no clock that wakes a run."""
    with SqliteBackend(tmp_path / "guard.db", tenant=TENANT, clock=FakeClock()) as long_ago:
        agent = exposed(Agent(long_ago, ApprovalRule(ttl="1h")), monkeypatch)
        agent.ask()
        # The command has a clock of today, and so has the process that goes on with the run.
        with SqliteBackend(tmp_path / "guard.db", tenant=TENANT) as today:
            late = Agent(today, ApprovalRule(ttl="1h"))
            late.graph.checkpointer = agent.graph.checkpointer
            exposed(late, monkeypatch)
            code, shown, _ = command("sweep", *GRAPH)
    assert (code, shown) == (0, "1 closed, whose time was over\nt: its run went on, and ended\n")
    assert (late.sent, late.asked_by) == ([], ["ada"])


def test_a_run_that_fails_keeps_no_other_waiting(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep is for all of a night's runs."""
    with SqliteBackend(tmp_path / "guard.db", tenant=TENANT, clock=FakeClock()) as long_ago:
        agent = exposed(Agent(long_ago, ApprovalRule(ttl="1h")), monkeypatch)
        agent.ask(thread="a")
        agent.ask(thread="b")
    made = iter([ConnectionError("no database"), agent.graph])

    def flaky() -> Any:
        if isinstance(found := next(made), Exception):
            raise found
        return found

    monkeypatch.setattr(approving, "graph", flaky)
    code, shown, _ = command("sweep", *GRAPH)
    assert code == 1
    assert [line.partition(": ")[2][:6] for line in shown.splitlines()[1:]] == ["failed", "its ru"]


def test_a_graph_that_is_async_goes_on(agent: Agent, command: Command) -> None:
    """By `ainvoke`, for savers and nodes that know no other way."""
    (waits,) = agent.ask()
    assert command("approve", waits.id, "--by", "bob", "--yes", "--async", *GRAPH)[0] == 0
    assert agent.sent == [{"text": "hello"}]


def test_a_run_that_fails_does_not_undo_the_decision(
    agent: Agent, backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be tried again."""
    (waits,) = agent.ask()

    def broken() -> Any:
        raise ConnectionError("no database")

    monkeypatch.setattr(approving, "graph", broken)
    code, _, complaint = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert (code, look(backend, waits.id).state) == (1, "approved")
    assert "ConnectionError" in complaint


@pytest.mark.parametrize("name", ["nonsense", "no_such_module:graph", "tests.cli.approving:missing", "json:__name__"])
def test_a_graph_that_is_none_is_found_before_anything_is_decided(
    name: str, agent: Agent, backend: SqliteBackend, command: Command
) -> None:
    """A typing error must not leave half of it done."""
    (waits,) = agent.ask()
    code, _, complaint = command("approve", waits.id, "--by", "bob", "--yes", "--graph", name)
    assert (code, look(backend, waits.id).state) == (2, "pending")
    assert "graph: " in complaint


# The log


def test_the_log_has_what_was_asked_decided_and_done(agent: Agent, command: Command) -> None:
    """By whom, and when."""
    (waits,) = agent.ask()
    command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    deeds = json.loads(command("log", "--json")[1])
    assert [each["kind"] for each in deeds] == ["requested", "approved", "started", "done"]
    assert [each["by"] for each in deeds[:2]] == ["ada", "bob"]


def test_a_log_that_is_whole_tells_its_head(agent: Agent, command: Command) -> None:
    """Kept elsewhere, it shows later that nothing was rewritten."""
    (waits,) = agent.ask()
    head = json.loads(command("verify", "--json")[1])["head"]
    command("reject", waits.id, "--by", "bob")
    code, shown, _ = command("verify", "--head", head)
    assert code == 0
    assert "2 records" in shown
    assert command("verify", "--head", f"1:{'0' * 64}")[0] == 1


def test_a_record_that_was_altered_is_named(agent: Agent, command: Command, tmp_path: Path) -> None:
    """Whoever can write the file can write a lie, but not a whole one."""
    (waits,) = agent.ask()
    command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert altered(tmp_path / "guard.db", "bob", "eve") > 0
    code, shown, _ = command("verify")
    assert (code, shown) == (1, "the log is broken: record 2 was altered\n")


def altered(file: Path, old: str, new: str) -> int:
    """Replace a word in all texts of a file's tables; how many rows had it."""
    with sqlite3.connect(file) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
        terms = {"old": old, "new": new}
        return sum(
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, :old, :new) "
                f"WHERE typeof({column}) = 'text' AND instr({column}, :old)",
                terms,
            ).rowcount
            for table, column in columns
        )


# Executions in doubt


def in_doubt(agent: Agent, backend: SqliteBackend) -> Any:
    """A request that was approved, and whose execution nobody knows the end of."""
    (waits,) = agent.ask()
    backend.desk.execute([Decide(TENANT, waits.id, "bob", "approve", waits.digest)])
    key = EffectKey(TENANT, waits.thread, waits.call_id, waits.digest)
    (claimed,) = backend.outbox.execute([Claim(key, "a worker", approval=waits.id)])
    assert isinstance(claimed, Claimed)
    backend.outbox.execute([Failed(key, claimed.fence, happened=True)])
    return waits


def test_an_execution_in_doubt_is_found(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """With the key that the service was given, by which one can look there, and what was to be done."""
    waits = in_doubt(agent, backend)
    key = EffectKey(TENANT, waits.thread, waits.call_id, waits.digest)
    code, shown, _ = command("doubts")
    assert code == 0
    assert waits.id in shown
    assert key.idempotency_key in shown
    assert 'send(text="hello")' in shown.replace("\n", "")


def test_what_happened_is_told_to_the_run(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """It is not done again, and the model hears the result."""
    waits = in_doubt(agent, backend)
    said = ("resolve", waits.id, "--by", "eve", "--happened", "sent at noon", "--reason", "it is in the outbox")
    assert command(*said)[0] == 0
    assert command("resume", waits.id, *GRAPH)[0] == 0
    assert agent.sent == []
    assert "sent at noon" in agent.answer()
    assert command("doubts")[1] == "no execution is in doubt\n"


def test_what_did_not_happen_may_be_done_again(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """By the run, when it goes on."""
    waits = in_doubt(agent, backend)
    assert command("resolve", waits.id, "--by", "eve", "--not-happened")[0] == 0
    command("resume", waits.id, *GRAPH)
    assert agent.sent == [{"text": "hello"}]


def test_who_resolves_second_is_told(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """Two people who look at once may see two things."""
    waits = in_doubt(agent, backend)
    assert command("resolve", waits.id, "--by", "eve", "--happened")[0] == 0
    code, shown, _ = command("resolve", waits.id, "--by", "bob", "--not-happened")
    assert (code, shown) == (1, "it is not in doubt: done\n")


def test_an_execution_without_a_request_is_resolved_by_its_key(
    agent: Agent, backend: SqliteBackend, command: Command
) -> None:
    """A call with side effects that no rule concerns is in the outbox, too. How somebody knows stands in the log."""
    key = EffectKey(TENANT, "t", "call 1", "d" * 64)
    (claimed,) = backend.outbox.execute([Claim(key, "a worker")])
    assert isinstance(claimed, Claimed)
    backend.outbox.execute([Failed(key, claimed.fence, happened=True)])
    (found,) = json.loads(command("doubts", "--json")[1])["in_doubt"]
    assert (found["call_id"], found["owner"], found["approval"]) == ("call 1", "a worker", None)
    said = ("resolve", found["idempotency_key"], "--by", "eve", "--not-happened", "--reason", "no mail left")
    assert command(*said)[0] == 0
    assert json.loads(command("log", "--json")[1])[-1]["detail"] == "no mail left"


def test_a_key_that_nobody_knows_resolves_nothing(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """A key that was copied wrong must not settle another execution."""
    key = EffectKey(TENANT, "t", "call 1", "d" * 64)
    backend.outbox.execute([Claim(key, "a worker"), Failed(key, 1, happened=True)])
    ended = [command("resolve", wrong, "--by", "eve", "--not-happened")[0] for wrong in ("f" * 32, "")]
    assert (ended, len(json.loads(command("doubts", "--json")[1])["in_doubt"])) == ([1, 1], 1)


# Servers


@pytest.mark.timeout(120)
def test_a_desk_on_a_server_is_decided_at_alike(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reviewers sit at other machines than the agent."""
    prefix = f"cli-{uuid.uuid4().hex}"
    monkeypatch.setenv(URL, redis_server.url)
    with RedisBackend.from_url(redis_server.url, tenant=TENANT, prefix=prefix) as backend:
        agent = exposed(Agent(backend), monkeypatch)
        (waits,) = agent.ask()
        said = ("--tenant", TENANT, "--prefix", prefix)
        assert cli.main(["approvals", "list", *said]) == 0
        assert waits.id in capsys.readouterr().out
        assert cli.main(["approvals", "approve", waits.id, "--by", "bob", "--yes", *GRAPH, *said]) == 0
        assert agent.sent == [{"text": "hello"}]
        assert cli.main(["approvals", "verify", *said]) == 0
        assert "4 records" in capsys.readouterr().out


def test_a_desk_that_does_not_answer_ends_with_three(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts try again then, and not when somebody else was first."""
    with socket.socket() as nobody:  # bound, so that no other takes the port, and not listening
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://:{SECRET}@127.0.0.1:{nobody.getsockname()[1]}"
        assert cli.main(["approvals", "list", "--url", url]) == 3
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


# Wrong words


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["show"],
        ["approve", "x", "--by", ""],
        ["approve", "x", "--digest", "abc"],
        ["edit", "x", "--yes"],
        ["edit", "x", "--args", "{"],
        ["edit", "x", "--args", "[]"],
        ["edit", "x", "--args", "@/no/such/file"],
        ["respond", "x"],
        ["resume", "x"],
        ["sweep", "--set", "x"],
        ["list", "--top", "0"],
        ["verify", "--head", "1"],
        ["resolve", "x"],
        ["resolve", "--happened"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_ends_with_two(words: list[str], agent: Agent, command: Command) -> None:
    """Before the desk is asked."""
    with pytest.raises(SystemExit) as ended:
        command(*words)
    assert ended.value.code == 2


def test_a_desk_must_be_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no default that could be the wrong one."""
    monkeypatch.delenv("LANGGRAPH_GUARD_REDIS_URL", raising=False)
    with pytest.raises(SystemExit):
        cli.main(["approvals", "list"])
    assert "--sqlite" in capsys.readouterr().err


def test_arguments_that_have_no_one_text_are_refused(agent: Agent, command: Command) -> None:
    """NaN is no JSON that two programs read alike."""
    (waits,) = agent.ask()
    assert command("edit", waits.id, "--yes", "--by", "bob", "--args", '{"text": NaN}')[0] == 2


# Ids in a few letters


@pytest.mark.parametrize("form", ["{:.8}", "{:.20}", "{:.12}…"])
def test_the_beginning_of_an_id_is_enough(agent: Agent, command: Command, form: str) -> None:
    """A narrow terminal shows no more of it; also when it was decided already."""
    (waits,) = agent.ask()
    id = form.format(waits.id)
    agrees = ["approve", id, "--by", "bob", "--digest", waits.digest]
    assert [command(*words)[0] for words in (["show", id], agrees)] == [0, 0]
    assert command("resume", id, *GRAPH)[0] == 0
    assert agent.sent == [{"text": "hello"}]


def test_seven_letters_are_too_few(agent: Agent, backend: SqliteBackend, command: Command) -> None:
    """Among a thousand requests two may begin alike."""
    (waits,) = agent.ask()
    code, _, complaint = command("reject", waits.id[:7], "--by", "bob")
    assert (code, look(backend, waits.id).state) == (1, "pending")
    assert "no such request" in complaint


def test_a_beginning_that_two_have_is_refused(backend: SqliteBackend, command: Command) -> None:
    """Nobody decides something else than they meant."""
    ids = ["0123456789abcdef" + end * 16 for end in "ab"]
    backend.desk.execute([asked_for(id) for id in ids])
    code, _, complaint = command("reject", ids[0][:12], "--by", "bob")
    assert (code, [look(backend, id).state for id in ids]) == (1, ["pending"] * 2)
    assert "2 requests begin so" in complaint
    assert command("reject", ids[0][:17], "--by", "bob")[0] == 0


def asked_for(id: str) -> Request:
    """A request with this id."""
    action = Action("send", {"text": "hello"})
    return Request(id, TENANT, "t", "", "c1", action.tool, action.text, action.digest, "require")


# What others are told


def test_a_decision_is_an_event_as_in_a_graph(agent: Agent, command: Command) -> None:
    """A dashboard counts decisions, wherever they were made; once, however often it is said, and when the run goes
    on."""
    (waits,) = agent.ask()
    heard: list[tuple[str, Any]] = []
    ends = subscribe(lambda name, said: heard.append((name, said)))
    for _ in range(2):
        assert command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)[0] == 0
    ends()
    ((name, said),) = [each for each in heard if each[0].startswith("approval.")]
    assert (name, said["tool"], said["decision"], said["quorum"]) == ("approval.decided", "send", "approved", 1)
    assert set(said) == set(SCHEMA[name])


def test_a_request_that_its_run_went_on_without_is_withdrawn(
    agent: Agent, backend: SqliteBackend, command: Command
) -> None:
    """The user wrote again, and the model did not ask again: a late yes must not look as if it had let anything run."""
    (waits,) = agent.ask()
    said = HumanMessage("never mind")
    agent.graph.update_state({"configurable": {"thread_id": "t"}}, {"messages": [said]}, as_node="seen")
    code, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert (code, look(backend, waits.id).state) == (1, "withdrawn")
    assert "it was withdrawn: its run went on without it" in shown
    assert agent.sent == []


class Late(InMemorySaver):
    """A saver whose writes another process sees late, as on Workers KV: it has a token that says which."""

    def token(self, thread_id: str) -> str:
        """What the next reader passes."""
        return f"token-of-{thread_id}"


def test_without_the_graph_the_way_to_go_on_names_the_token(agent: Agent, command: Command) -> None:
    """On Workers KV a resume elsewhere may see the thread as it was a minute ago."""
    (waits,) = agent.ask()
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes")
    assert "on Workers KV add --set kv_at_least=TOKEN" in shown


def test_a_saver_with_a_token_says_it_after_the_run(
    backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on next must see what this command wrote."""
    agent = Agent(backend)
    agent.graph.checkpointer = Late()
    (waits,) = exposed(agent, monkeypatch).ask()
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert "kv_at_least=token-of-t" in shown
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH, "--json")
    assert json.loads(shown)["run"]["token"] == "token-of-t"


def test_a_thread_that_does_not_wait_may_be_seen_too_early(
    backend: SqliteBackend, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the token that says what must be seen, "it does not wait" may be a minute old."""
    agent = Agent(backend)
    (waits,) = agent.ask()
    agent.graph.checkpointer = Late()
    exposed(agent, monkeypatch)
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH)
    assert "say --set kv_at_least=TOKEN" in shown
    _, shown, _ = command("approve", waits.id, "--by", "bob", "--yes", *GRAPH, "--set", "kv_at_least=x")
    assert "say --set kv_at_least=TOKEN" not in shown
