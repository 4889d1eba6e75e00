"""`langgraph-guard budgets`: what people see of the accounts that workers share, and what they do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from langgraph_guard import SqliteBackend, cli
from langgraph_guard.backends.redis import RedisBackend
from langgraph_guard.cli import budgets
from langgraph_guard.cli.budgets import snapshot, tables, watching
from langgraph_guard.cli.budgets.arguments import URL
from langgraph_guard.errors import BudgetUnavailable
from langgraph_guard.policies.breaker.commands import CircuitKey, ForceOpen
from langgraph_guard.policies.ledger import Account, Charge, Denied, Granted, Owner, Reserve, Settle
from langgraph_guard.testing import FakeClock
from tests.servers.redis import RedisServer

TENANT: Final = "acme"
USER: Final = Account(TENANT, "user", "42", "usd", "day")
EVERYONE: Final = Account("", "global", "", "usd")
SECRET: Final = "hunter2"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in which a worker has one call behind it, and one under way."""
    found = tmp_path / "guard.db"
    with SqliteBackend(found, tenant=TENANT) as backend:
        charges = (Charge(USER, 300_000, 5_000_000), Charge(EVERYONE, 300_000))
        backend.ledger.execute([Reserve("r1", charges), Settle("r1", {"usd": 250_000}), Reserve("r2", charges)])
    return found


@pytest.fixture
def run(path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command, on that file: what it prints. It must end well."""

    def command(*words: str) -> str:
        code = cli.main(["budgets", "--sqlite", str(path), "--tenant", TENANT, *words])
        said = capsys.readouterr()
        assert (code, said.err) == (0, "")
        return said.out

    return command


def reserved(path: Path, account: Account = USER) -> Any:
    """What a worker hears that asks for 20 cents more, of 50."""
    with SqliteBackend(path, tenant=TENANT) as backend:
        return backend.ledger.execute([Reserve("another", (Charge(account, 200_000, 500_000),))])[0]


def row(output: str, *words: str) -> str:
    """The one line that has all of these words."""
    (found,) = [line for line in output.splitlines() if all(word in line for word in words)]
    return " ".join(found.split())


# Looking


def test_it_shows_balances_reservations_and_who_spent_most(run: Callable[..., str]) -> None:
    """The three questions of whoever is woken by an alarm."""
    shown = run()
    assert row(shown, "user:42", "day") == "user:42 day 0.25 USD 0.30 USD"
    assert row(shown, "r2").startswith("r2 20")
    assert row(shown, "reservations") == "reservations: 1 open, 0 of them past their lease"
    assert "top spenders" in shown


def test_an_orphan_is_seen(path: Path, tmp_path: Path) -> None:
    """A worker that died holds room that others could use; until when is what people ask."""
    clock = FakeClock()
    other = tmp_path / "old.db"
    with SqliteBackend(other, tenant=TENANT, clock=clock) as backend:
        backend.ledger.execute([Reserve("r1", (Charge(USER, 5, 10),), lease=60.0)])
        clock.advance(61)
        seen = snapshot.look(backend, ())
    console = Console(file=StringIO(), width=tables.WIDTH)
    with console.capture() as shown:
        console.print(tables.page(seen, 20))
    assert "1 of them past their lease" in shown.get()
    assert row(shown.get(), "orphan").startswith("r1 2026-01-01 00:01:00Z")


def test_programs_get_json_in_whole_numbers(run: Callable[..., str]) -> None:
    """Micro-USD: a float would not add up."""
    found = json.loads(run("--json", "--circuit", "breaker", "search"))
    balances = {(each["scope"], each["id"]): each for each in found["balances"]}
    assert balances["user", "42"]["spent"] == 250_000
    assert balances["user", "42"]["reserved"] == 300_000
    assert [(each["id"], each["orphan"]) for each in found["reservations"]] == [("r2", False)]
    assert [(each["key"], each["state"]) for each in found["circuits"]] == [("search", "closed")]
    assert found["complete"] is True


def test_an_empty_file_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Most often, the tenant or the prefix is another one."""
    SqliteBackend(tmp_path / "new.db").close()
    assert cli.main(["budgets", "--sqlite", str(tmp_path / "new.db")]) == 0
    assert "no accounts" in capsys.readouterr().out


def test_it_shows_no_other_tenant(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A shared file, and a support desk that may see one customer."""
    cli.main(["budgets", "--sqlite", str(path), "--tenant", "other"])
    shown = capsys.readouterr().out
    assert "user:42" not in shown
    assert "global" in shown


def test_a_long_list_is_cut_and_says_so(path: Path, run: Callable[..., str]) -> None:
    """A screen is for the largest; the rest is a number."""
    with SqliteBackend(path, tenant=TENANT) as backend:
        charges = [(Charge(USER._replace(id=f"u{at}"), at + 1, 9),) for at in range(7)]
        backend.ledger.execute([Reserve(f"more-{at}", charge) for at, charge in enumerate(charges)])
    assert "and 6 more" in run("--top", "3")


def test_all_pages_are_read(path: Path, run: Callable[..., str]) -> None:
    """A thousand accounts are three pages of a survey."""
    with SqliteBackend(path, tenant=TENANT) as backend:
        charges = tuple(Charge(USER._replace(id=f"u{at:04}"), 1) for at in range(1_100))
        backend.ledger.execute([Reserve("many", charges)])
    assert len(json.loads(run("--json"))["balances"]) == 1_102


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\u202egnp", "[bold]x[/bold]", "[/nothing]"])
def test_a_name_cannot_move_the_cursor(name: str, path: Path, run: Callable[..., str]) -> None:
    """Thread ids come from users, and terminals obey them."""
    with SqliteBackend(path, tenant=TENANT) as backend:
        backend.ledger.execute([Reserve(name, (Charge(USER._replace(id=name), 1),))])
        backend.breakers.execute([ForceOpen(CircuitKey(TENANT, "breaker", name), name or "x", name)])
    shown = run("--circuit", "breaker", name) + run("audit", "--circuit", "breaker", name)
    assert f"user:{tables.plain(name)}" in shown
    assert all(each.isprintable() or each == "\n" for each in shown)
    assert shown.count(tables.plain(name)) >= 5


# Watching


class Ended(FakeClock):
    """Somebody presses Ctrl-C after some looks."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
def test_it_looks_again_and_again(path: Path, terminal: bool) -> None:
    """In place on a terminal, one below the other in a file; each time what is true by then."""
    clock = Ended(3)
    console = Console(file=StringIO(), width=tables.WIDTH, force_terminal=terminal, force_interactive=terminal)
    with pytest.raises(KeyboardInterrupt):
        budgets.main(
            ["--sqlite", str(path), "--tenant", TENANT, "--watch", "--every", "7"], console=console, clock=clock
        )
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert clock.slept == [7.0, 7.0, 7.0]
    assert written.count("top spenders") >= 3
    assert ("\x1b" in written) is terminal


def test_a_ledger_that_is_away_does_not_end_the_watch() -> None:
    """It is watched because something is wrong."""

    def away() -> Any:
        raise BudgetUnavailable("redis", 2.0)

    console = Console(file=StringIO(), width=100)
    with pytest.raises(KeyboardInterrupt):
        watching.watch(away, console, 20, 2.0, Ended(2))
    assert console.file.getvalue().count("did not answer within 2.0 s") == 2  # type: ignore[attr-defined]


# Deeds


def test_a_frozen_owner_is_refused_until_it_is_thawed(path: Path, run: Callable[..., str]) -> None:
    """The switch for the customer whose agent runs wild."""
    with SqliteBackend(path, tenant=TENANT) as backend:
        backend.ledger.execute([Settle("r2", {"usd": 0})])
    run("freeze", "user:42", "--by", "ann", "--reason", "loops")
    frozen = reserved(path)
    assert "frozen" in row(run(), "user:42", "day")
    run("thaw", "user:42", "--by", "ann")
    assert isinstance(frozen, Denied)
    assert isinstance(reserved(path), Granted)


def test_a_top_up_gives_room_in_its_window(path: Path, run: Callable[..., str]) -> None:
    """More for today, in dollars; the limit itself stays in the program."""
    before = reserved(path)
    said = run("top-up", "user:42", "usd", "2.50", "--window", "day", "--by", "ann")
    assert isinstance(before, Denied)
    assert isinstance(reserved(path), Granted)
    assert said.strip() == "user:42 per day: 0.25 USD spent, 0.30 USD held, 2.50 USD credit"


def test_an_adjustment_corrects_what_was_spent(run: Callable[..., str]) -> None:
    """The provider's invoice says otherwise, to either side."""
    said = run("adjust", "global", "usd", "-0.15", "--by", "ann", "--reason", "invoice 7")
    assert said.strip() == "global: 0.10 USD spent, 0.30 USD held, 0.00 USD credit"


def test_an_adjustment_with_an_id_is_made_once(run: Callable[..., str]) -> None:
    """A script that does not know whether it got through says it again."""
    for _ in range(2):
        said = run("adjust", "user:42", "usd", "0.05", "--window", "day", "--by", "cron", "--id", "invoice-7")
    assert said.startswith("user:42 per day: 0.30 USD spent")


def test_a_circuit_is_held_open_and_reset(run: Callable[..., str]) -> None:
    """Before a provider's maintenance, and after it."""
    run("force-open", "breaker", "search", "--by", "ann", "--reason", "maintenance")
    opened = row(run("--circuit", "breaker", "search"), "search")
    run("reset", "breaker", "search", "--by", "bob")
    assert opened.startswith("breaker search forced_open")
    assert row(run("--circuit", "breaker", "search"), "search").startswith("breaker search closed")


def test_who_did_what_and_why_is_on_record(run: Callable[..., str]) -> None:
    """Each deed, oldest first, accounts and circuits."""
    run("freeze", "user:42", "--by", "ann", "--reason", "loops")
    run("top-up", "global", "usd", "5", "--by", "bob")
    run("force-open", "breaker", "search", "--by", "eve", "--reason", "down")
    found = json.loads(run("audit", "--circuit", "breaker", "search", "--json"))
    assert [(each["action"], each["by"], each["reason"]) for each in found["deeds"]] == [
        ("freeze", "ann", "loops"),
        ("adjust", "bob", ""),
    ]
    assert [(each["action"], each["by"], each["reason"]) for each in found["circuits"]] == [
        ("force_open", "eve", "down")
    ]
    shown = run("audit", "--circuit", "breaker", "search")
    assert row(shown, "freeze").endswith("freeze user:42 ann loops")
    assert row(shown, "force_open").endswith("force_open closed eve down")


def test_programs_hear_what_a_deed_did(run: Callable[..., str]) -> None:
    """In the same shape as a look."""
    said = json.loads(run("top-up", "user:42", "usd", "2.50", "--window", "day", "--by", "ann", "--json"))
    assert (said["scope"], said["id"], said["credit"], said["spent"]) == ("user", "42", 2_500_000, 250_000)


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        ("user:42", Owner(TENANT, "user", "42")),
        ("session:a:b", Owner(TENANT, "session", "a:b")),
        ("tenant", Owner(TENANT, "tenant", TENANT)),
        ("global", Owner("", "global", "")),
    ],
)
def test_an_owner_is_named_as_its_limit_names_it(said: str, owner: Owner) -> None:
    """`per=` of the limit, and the id; ids may have colons in them."""
    assert budgets.deeds.owner_of(said, TENANT) == owner


# Going wrong


@pytest.mark.parametrize(
    "words",
    [
        ["freeze", "user:42"],
        ["freeze", "user:42", "--by", ""],
        ["freeze", "user:42", "--by", "x" * 201],
        ["freeze", "user:42", "--by", "ann", "--reason", "x" * 1_001],
        ["freeze", "nobody", "--by", "ann"],
        ["freeze", "user:", "--by", "ann"],
        ["top-up", "user:42", "usd", "nan", "--by", "ann"],
        ["top-up", "user:42", "usd", "0", "--by", "ann"],
        ["top-up", "user:42", "tokens", "1.5", "--by", "ann"],
        ["top-up", "user:42", "usd", "1e30", "--by", "ann"],
        ["top-up", "user:42", "euros", "5", "--by", "ann"],
        ["reopen", "--by", "ann"],
        ["--watch", "--json"],
        ["--every", "0"],
        ["--top", "-1"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_ends_with_two_and_a_sentence(
    words: list[str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it changes nothing: scripts tell a typing error from a failure by it."""
    before = _records(path)
    try:
        code: Any = cli.main(["budgets", "--sqlite", str(path), "--tenant", TENANT, *words])
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr().err
    assert (code, _records(path)) == (2, before)
    assert "langgraph-guard budgets" in said
    assert "Traceback" not in said


def _records(path: Path) -> int:
    from langgraph_guard.policies.ledger import Audit

    with SqliteBackend(path, tenant=TENANT) as backend:
        (found,) = backend.ledger.execute([Audit(TENANT)])
    return len(found)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error must not leave an empty ledger that looks like good news."""
    wrong = tmp_path / "gaurd.db"
    assert cli.main(["budgets", "--sqlite", str(wrong)]) == 2
    assert (wrong.exists(), "no such file" in capsys.readouterr().err) == (False, True)


def test_a_file_of_something_else_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a sentence."""
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to be taken for one " * 50)
    assert cli.main(["budgets", "--sqlite", str(other)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "url",
    [f"redis://:{SECRET}@127.0.0.1:1/0", f"http://ann:{SECRET}@host", f"redis://:{SECRET}@host:port", SECRET],
    ids=["nobody there", "another scheme", "no port", "no url"],
)
@pytest.mark.parametrize("place", ["option", "environment"])
def test_no_password_is_ever_printed(
    url: str, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Screens are shared, and logs are kept."""
    if place == "environment":
        monkeypatch.setenv(URL, url)
    code = cli.main(["budgets", *(["--url", url] if place == "option" else [])])
    said = capsys.readouterr()
    assert code in (1, 2)
    assert said.err.startswith("langgraph-guard budgets: ")
    assert SECRET not in said.out + said.err
    assert "Traceback" not in said.err


def test_without_a_place_it_asks_for_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Guessing localhost would show somebody else's figures."""
    monkeypatch.delenv(URL, raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["budgets"])
    assert ended.value.code == 2
    assert "--sqlite" in capsys.readouterr().err


# On a server


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """One with a password, on which a worker has a call under way."""
    with RedisServer(requirepass=SECRET) as server:
        with RedisBackend.from_url(_url(server), tenant=TENANT, deadline=20.0) as backend:
            backend.ledger.execute([Reserve("r1", (Charge(USER, 300_000, 5_000_000),))])
        yield server


def _url(server: RedisServer) -> str:
    return server.url.replace("redis://", f"redis://:{SECRET}@")


def test_a_server_shows_the_same(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Which backend the workers have is a setting of theirs, and changes no answer."""
    assert cli.main(["budgets", "--url", _url(server), "--tenant", TENANT]) == 0
    shown = capsys.readouterr().out
    assert row(shown, "user:42", "day") == "user:42 day 0.00 USD 0.30 USD"
    assert row(shown, "reservations") == "reservations: 1 open, 0 of them past their lease"


def test_a_ledger_that_was_reopened_is_on_record(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever goes on after a flush takes what is missing on themselves."""
    place = ["--url", _url(server), "--tenant", TENANT]
    assert cli.main(["budgets", *place, "reopen", "--by", "ann", "--reason", "restored a backup"]) == 0
    capsys.readouterr()
    assert cli.main(["budgets", *place, "audit"]) == 0
    assert row(capsys.readouterr().out, "reopen").endswith("ann restored a backup")


def test_a_wrong_prefix_does_not_begin_a_ledger(server: RedisServer, capsys: pytest.CaptureFixture[str]) -> None:
    """It would look like good news, and stay."""
    before = server.client(password=SECRET).dbsize()
    code = cli.main(["budgets", "--url", _url(server), "--tenant", TENANT, "--prefix", "wrong"])
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    assert said.err.startswith("langgraph-guard budgets: the budget ledger (redis) is not available")
    assert server.client(password=SECRET).dbsize() == before
