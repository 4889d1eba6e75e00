"""Files, functions and loggers that take steps: what is written can be read, and nothing of theirs stops a run."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from langgraph_guard.errors import ConfigError
from langgraph_guard.observability.steps import Step, StepRecorder, read
from langgraph_guard.observability.steps.sinks import Called
from langgraph_guard.observability.steps.writer import Writer
from tests.observability.stepped import CANARY, agent, ask

PATIENCE = 30.0
"""Seconds that a busy machine may take for what takes none."""

both_files = pytest.mark.parametrize("name", ["steps.db", "steps.jsonl"])


def step(number: int = 0, **fields: Any) -> Step:
    """A record by itself."""
    said: dict[str, Any] = {"kind": "tool", "name": "look_up", "thread_id": "t-1", **fields}
    return Step(ts=float(number), trace_id="trace", id=f"id-{number}", **said)


def written(file: Path, *steps: Step) -> Path:
    """A log with these steps."""
    recorder = StepRecorder(file)
    for each in steps:
        recorder.add(each)
    assert recorder.close(PATIENCE)
    return file


@both_files
def test_what_is_written_can_be_read(tmp_path: Path, name: str) -> None:
    """All fields, and half characters and line ends in them."""
    full = step(
        1,
        parent_id="id-0",
        node="tools",
        step=3,
        checkpoint_ns="tools:1",
        status="error",
        duration_ms=1.5,
        model="gpt-4o",
        input_tokens=1,
        output_tokens=2,
        cache_read_tokens=3,
        cost_micro_usd=4,
        error_type="ValueError",
        error="line\nline  é",
        tool_call_id="c",
        args="{}",
        result="r",
        attrs={"limit": 7, "nested": [1, {"a": None}]},
    )
    assert read(written(tmp_path / name, step(), full)) == [step(), full]


@both_files
def test_a_run_goes_into_a_file_and_comes_back(tmp_path: Path, name: str) -> None:
    """The same records as in a list."""
    recorder = StepRecorder(tmp_path / name)
    ask(agent(), "ainvoke", recorder)
    assert recorder.close(PATIENCE)
    assert recorder.dropped == 0
    found = read(tmp_path / name, kind="tool")
    assert [(each.name, each.status) for each in found] == [
        ("look_up", "error"),
        ("look_up", "ok"),
        ("refund", "interrupted"),
    ]


@both_files
def test_a_log_goes_on_where_it_ended(tmp_path: Path, name: str) -> None:
    """A process that starts again does not lose what was before it."""
    written(tmp_path / name, step(1))
    assert [each.id for each in read(written(tmp_path / name, step(2)))] == ["id-1", "id-2"]


@both_files
def test_steps_are_found_by_thread_kind_trace_and_failure(tmp_path: Path, name: str) -> None:
    """The questions of the command line, on both kinds of file."""
    file = written(tmp_path / name, step(1), step(2, thread_id="t-2"), step(3, kind="llm"), step(4, status="error"))
    assert [each.id for each in read(file, thread="t-2")] == ["id-2"]
    assert [each.id for each in read(file, kind="llm")] == ["id-3"]
    assert [each.id for each in read(file, failed=True)] == ["id-4"]
    assert [each.id for each in read(file, thread="t-1", kind="tool")] == ["id-1", "id-4"]
    assert read(file, trace="another") == []


def test_the_table_can_be_asked_with_sql(tmp_path: Path) -> None:
    """The promise of the file: what failed how often, and what it cost."""
    file = written(tmp_path / "steps.db", step(1, cost_micro_usd=5), step(2, status="error"), step(3, cost_micro_usd=7))
    with sqlite3.connect(file) as db:
        asked = "select name, count(*), sum(status = 'error'), sum(cost_micro_usd) from steps group by name"
        assert db.execute(asked).fetchall() == [("look_up", 3, 1, 12)]


def test_prompts_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    """The exact prompt and the raw answer, without the secret; nothing of either otherwise."""
    start = {"messages": [("user", f"my key is {CANARY}, where is it?")]}
    for name, prompts in (("with.db", True), ("without.db", False)):
        recorder = StepRecorder(tmp_path / name, prompts=prompts)
        ask(agent(), "invoke", recorder, start)
        assert recorder.close(PATIENCE)
    (first, *_) = read(tmp_path / "with.db", kind="llm")
    assert "my key is [redacted], where is it?" in first.attrs["prompt"]
    assert json.loads(first.attrs["answer"])[0]["data"]["tool_calls"][0]["name"] == "look_up"
    assert all(CANARY.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert {str(dict(each.attrs)) for each in read(tmp_path / "without.db", kind="llm")} == {"{}"}


@both_files
def test_a_log_of_a_newer_version_is_left_alone(tmp_path: Path, name: str) -> None:
    """An old release must not misread it, nor write into it."""
    file = written(tmp_path / name, step())
    _set_version(file, 2)
    with pytest.raises(ConfigError, match="is a step log of a newer version"):
        read(file)


@pytest.mark.parametrize("version", [0, 2], ids=["older", "newer"])
def test_lines_of_another_version_are_not_written_to(tmp_path: Path, version: int) -> None:
    """What is written behind them could never be read: readers refuse the whole file."""
    file = tmp_path / "steps.jsonl"
    file.write_text(f'{{"v": {version}}}\n')
    with pytest.raises(ConfigError, match=r"steps: .*version"):
        StepRecorder(file)
    assert file.read_text() == f'{{"v": {version}}}\n'


def test_lines_behind_a_damaged_one_are_written(tmp_path: Path) -> None:
    """A crash may have cut off the only line that there is."""
    file = tmp_path / "steps.jsonl"
    file.write_text('{"v": 1, "ts')
    with closing(StepRecorder(file)) as recorder:
        recorder.add(step(1))
    assert [each.id for each in read(file)] == ["id-1"]


async def _later(step: Step) -> None:
    pass


class _Later:
    async def __call__(self, step: Step) -> None:
        pass


@pytest.mark.parametrize("sink", [_later, _Later()], ids=["function", "object"])
def test_a_sink_that_would_have_to_be_waited_for_is_none(sink: Any) -> None:
    """Nobody would wait for it, and every step would be lost in silence."""
    with pytest.raises(ConfigError, match="an async function cannot"):
        StepRecorder(sink)


def test_a_sink_that_ends_the_program_ends_nothing() -> None:
    """`sys.exit` in a thread ends that thread alone, and in silence: no later step would be written."""
    seen: list[str] = []

    def sink(each: Step) -> None:
        if not seen:
            seen.append("exit")
            raise SystemExit(1)
        seen.append(each.id)

    with closing(StepRecorder(sink)) as recorder:
        for number in range(3):
            recorder.add(step(number))
        assert recorder.flush(PATIENCE)
        assert (seen, recorder.dropped) == (["exit", "id-1", "id-2"], 1)


def test_who_waits_for_ever_waits_until_it_is_written(tmp_path: Path) -> None:
    """`inf` is a number of seconds, and `None` is none."""
    with closing(StepRecorder(tmp_path / "steps.db")) as recorder:
        recorder.add(step(1))
        assert recorder.flush(float("inf"))
        with pytest.raises(ConfigError, match="timeout: is a NoneType"):
            recorder.flush(None)  # type: ignore[arg-type]


def test_a_name_that_no_file_can_have_is_none() -> None:
    """Said when it is given, and not by the first step."""
    with pytest.raises(ConfigError, match="steps: is no name of a file"):
        StepRecorder("a\0.db")


@pytest.mark.parametrize("version", [0, 2], ids=["older", "newer"])
def test_a_database_of_another_version_is_not_written_to(tmp_path: Path, version: int) -> None:
    """It is refused when the recorder is made, and says what to do."""
    file = written(tmp_path / "steps.db", step())
    _set_version(file, version)
    with pytest.raises(ConfigError, match=r"version.*move it away"):
        StepRecorder(file)


def _set_version(file: Path, version: int) -> None:
    if file.suffix == ".db":
        with sqlite3.connect(file) as db:
            db.execute(f"PRAGMA user_version = {version}")
    else:
        file.write_text(file.read_text().replace('"v": 1', f'"v": {version}'))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.db", None),
        ("missing.jsonl", None),
        ("text.jsonl", b"no step\n"),
        ("list.jsonl", b"[]\n{}\n"),
        ("broken.db", b"SQLite format 3\0 and no more"),
    ],
    ids=["no database", "no lines", "text", "other json", "broken database"],
)
def test_what_is_no_step_log_says_so(tmp_path: Path, name: str, content: bytes | None) -> None:
    """A typing error in a file name must not look like a night without failures."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"^file: "):
        read(tmp_path / name)


def test_a_database_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    """The file name was wrong, and it was another program's."""
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE orders (id)")
    with pytest.raises(ConfigError, match="without steps"):
        StepRecorder(file)


def test_a_line_that_was_cut_off_does_not_hide_the_others(tmp_path: Path) -> None:
    """A process may die while it writes."""
    file = written(tmp_path / "steps.jsonl", step(1), step(2))
    file.write_text(file.read_text()[:-20])
    assert [each.id for each in read(file)] == ["id-1"]


@both_files
def test_a_file_in_no_folder_fails_when_it_is_named(tmp_path: Path, name: str) -> None:
    """Not after a night of runs."""
    with pytest.raises(ConfigError, match="cannot be written to"):
        StepRecorder(tmp_path / "no" / "folder" / name)


# --- sinks that fail ---


def test_a_function_gets_every_step() -> None:
    """In their order, each once."""
    got: list[str] = []
    recorder = StepRecorder(lambda each: got.append(each.id))
    for number in range(100):
        recorder.add(step(number))
    assert recorder.close(PATIENCE)
    assert got == [f"id-{number}" for number in range(100)]


def test_a_logger_gets_a_line_and_the_record(caplog: pytest.LogCaptureFixture) -> None:
    """What failed is a warning; the fields are for whoever writes logs as JSON."""
    with caplog.at_level(logging.INFO, "agent"):
        recorder = StepRecorder(logging.getLogger("agent"))
        recorder.add(step(1))
        recorder.add(step(2, status="error"))
        assert recorder.close(PATIENCE)
    told = [each for each in caplog.records if each.name == "agent"]
    assert [each.levelname for each in told] == ["INFO", "WARNING"]
    assert [each.step["id"] for each in told] == ["id-1", "id-2"]  # type: ignore[attr-defined]


def test_a_sink_that_raises_is_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand warnings would be the second incident."""

    def broken(each: Step) -> None:
        raise OSError(CANARY)

    recorder = StepRecorder(broken)
    ask(agent(), "invoke", recorder)
    assert recorder.close(PATIENCE)
    assert recorder.dropped >= 10
    told = [each for each in caplog.records if each.name.startswith("langgraph_guard")]
    assert len(told) == 1
    assert CANARY not in caplog.text


def test_a_sink_that_fails_now_and_then_loses_only_that(tmp_path: Path) -> None:
    """A disk that was full for a while."""
    got: list[str] = []

    def flaky(each: Step) -> None:
        if each.id == "id-1":
            raise OSError("disk full")
        got.append(each.id)

    recorder = StepRecorder(flaky)
    for number in range(3):
        recorder.add(step(number))
    assert recorder.close(PATIENCE)
    assert (got, recorder.dropped) == (["id-0", "id-2"], 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_costs_records_and_no_run(tmp_path: Path) -> None:
    """The file can be opened, and takes nothing."""
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    recorder = StepRecorder(tmp_path / "full.jsonl")
    ask(agent(), "invoke", recorder)
    assert recorder.close(PATIENCE)
    assert recorder.dropped >= 10


def test_a_database_whose_folder_is_gone_costs_records_and_no_run(tmp_path: Path) -> None:
    """Somebody cleaned up under a worker that goes on."""
    (tmp_path / "logs").mkdir()
    recorder = StepRecorder(tmp_path / "logs" / "steps.db")
    shutil.rmtree(tmp_path / "logs")
    ask(agent(), "invoke", recorder)
    assert recorder.close(PATIENCE)
    assert recorder.dropped >= 10


def test_a_database_that_was_emptied_begins_anew(tmp_path: Path) -> None:
    """Somebody dropped the table to make room: what comes next is kept."""
    file = written(tmp_path / "steps.db", step(1))
    recorder = StepRecorder(file)
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE steps")
    recorder.add(step(2))
    assert recorder.close(PATIENCE)
    assert [each.id for each in read(file)] == ["id-2"]


@both_files
@pytest.mark.parametrize("how", ["moved", "deleted"])
def test_a_log_that_was_taken_away_begins_anew(tmp_path: Path, name: str, how: str) -> None:
    """Logs are rotated under programs that run for months; what comes next is not written to what nobody finds."""
    recorder = StepRecorder(tmp_path / name)
    recorder.add(step(1))
    assert recorder.flush(PATIENCE)
    (tmp_path / name).rename(tmp_path / "kept") if how == "moved" else (tmp_path / name).unlink()
    recorder.add(step(2))
    assert recorder.close(PATIENCE)
    assert ([each.id for each in read(tmp_path / name)], recorder.dropped) == (["id-2"], 0)


def test_after_a_line_that_was_cut_off_the_next_one_is_whole(tmp_path: Path) -> None:
    """The disk was full in the middle of it, and is free again."""
    file = written(tmp_path / "steps.jsonl", step(1))
    with file.open("a") as log:
        log.write('{"v": 1, "ts": 2.0, "tra')
    written(file, step(3))
    assert [each.id for each in read(file)] == ["id-1", "id-3"]


@both_files
def test_a_log_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Servers change their directory when they go into the background."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    recorder = StepRecorder(name)
    monkeypatch.chdir(tmp_path / "elsewhere")
    recorder.add(step(1))
    assert recorder.close(PATIENCE)
    assert [each.id for each in read(tmp_path / name)] == ["id-1"]


def test_a_sink_that_blocks_for_ever_stops_nobody() -> None:
    """Runs end as always; of what waits there is a bound, and what is beyond it is counted."""
    entered, released = threading.Event(), threading.Event()

    def blocked(each: Step) -> None:
        entered.set()
        released.wait()

    recorder = StepRecorder(blocked, max_queue=5)
    ask(agent(), "invoke", recorder)
    assert entered.wait(PATIENCE)
    for number in range(20):
        recorder.add(step(number))
    assert recorder.dropped >= 15
    assert not recorder.flush(0.01)
    assert not recorder.close(0.01)
    released.set()


def test_a_closed_recorder_takes_nothing_more(tmp_path: Path) -> None:
    """And counts what it did not take."""
    recorder = StepRecorder(tmp_path / "steps.db")
    assert recorder.close(PATIENCE)
    recorder.add(step())
    assert recorder.dropped == 1


def test_a_record_shows_what_was_there_when_it_happened() -> None:
    """It is made later, in the thread that writes; tools change what they are given, and agents their lists."""
    got: list[Step] = []
    entered, released = threading.Event(), threading.Event()

    def slow(each: Step) -> None:
        entered.set()
        released.wait()
        got.append(each)

    recorder = StepRecorder(slow)
    given: dict[str, Any] = {"orders": ["4711"]}
    output: dict[str, Any] = {"sent": []}
    recorder.add(step(0))
    assert entered.wait(PATIENCE)
    run = uuid.uuid4()
    recorder.on_tool_start({"name": "send"}, "", run_id=run, inputs=given)
    recorder.on_tool_end(output, run_id=run)
    given["orders"].append("of somebody else")
    output["sent"] = given["orders"]
    released.set()
    assert recorder.close(PATIENCE)
    assert (got[1].args, got[1].result) == ('{"orders": ["4711"]}', '{"sent": []}')


def test_a_record_that_cannot_be_made_costs_no_other() -> None:
    """The batch has five hundred."""
    got: list[Step] = []

    def made(number: int) -> Step:
        return step(1 // number)

    writer = Writer(Called(got.append), 10, made)
    for number in (1, 0, 1):
        writer.put(number)
    assert writer.close(PATIENCE)
    assert (len(got), writer.dropped) == (2, 1)


def test_long_prompts_that_wait_have_a_bound_too() -> None:
    """Ten thousand prompts of a megabyte would be the memory of the machine."""
    entered, released = threading.Event(), threading.Event()

    def blocked(each: Step) -> None:
        entered.set()
        released.wait()

    writer = Writer(Called(blocked), 10_000, lambda made: made)
    writer.put(step(0))
    assert entered.wait(PATIENCE)
    for number in range(10):
        writer.put(step(number), 20_000_000)
    assert writer.dropped == 7
    released.set()
    assert writer.close(PATIENCE)


def test_the_end_of_a_process_writes_what_waits(tmp_path: Path) -> None:
    """A script that ends right after its run has its log, without calling anything."""
    file = tmp_path / "steps.jsonl"
    code = (
        "import sys\n"
        "from langgraph_guard.observability.steps import Step, StepRecorder\n"
        "recorder = StepRecorder(sys.argv[1])\n"
        "for n in range(1000):\n"
        "    recorder.add(Step(ts=n, trace_id='t', id=str(n), kind='tool', name='x'))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, timeout=120)
    assert len(read(file)) == 1_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_of_a_fork_writes_its_own(tmp_path: Path) -> None:
    """Servers load an app, and fork: no thread lives on in the child, and nothing is written twice."""
    file = tmp_path / "steps.db"
    code = (
        "import os, sys\n"
        "from langgraph_guard.observability.steps import Step, StepRecorder\n"
        "recorder = StepRecorder(sys.argv[1])\n"
        "def add(name): recorder.add(Step(ts=1, trace_id='t', id=name, kind='tool', name=name))\n"
        "add('before')\n"
        "child = os.fork()\n"
        "add('child' if child == 0 else 'parent')\n"
        "assert recorder.flush(60)\n"
        "if child == 0: os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(file)], check=True, timeout=120)
    assert sorted(each.name for each in read(file)) == ["before", "child", "parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_loses_nothing_when_its_parent_ends_first(tmp_path: Path) -> None:
    """SQLite removes its log with the last connection that it knows of: a child that has its parent's would go on
    writing into a file that is not there."""
    file = tmp_path / "steps.db"
    code = (
        "import os, sys\n"
        "from langgraph_guard.observability.steps import Step, StepRecorder\n"
        "recorder = StepRecorder(sys.argv[1])\n"
        "def add(name):\n"
        "    recorder.add(Step(ts=1, trace_id='t', id=name, kind='tool', name=name))\n"
        "    assert recorder.flush(60)\n"
        "add('parent')\n"
        "began, over = os.pipe(), os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    add('first')\n"
        "    os.write(began[1], b'x')\n"
        "    os.read(over[0], 1)\n"
        "    add('second')\n"
        "    os._exit(0)\n"
        "os.read(began[0], 1)\n"
        "recorder.close()\n"
        "os.write(over[1], b'x')\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(file)], check=True, timeout=120)
    assert sorted(each.name for each in read(file)) == ["first", "parent", "second"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_ends_although_its_parent_was_writing(tmp_path: Path) -> None:
    """A lock that another thread held at the fork stays locked in the child, and nobody is there to free it."""
    code = (
        "import os, sys, threading\n"
        "from langgraph_guard.observability.steps import StepRecorder\n"
        "recorder = StepRecorder(sys.argv[1])\n"
        "held, over = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with recorder._writer._lock:\n"
        "        held.set()\n"
        "        over.wait()\n"
        "threading.Thread(target=hold, daemon=True).start()\n"
        "held.wait()\n"
        "child = os.fork()\n"
        "if child == 0: sys.exit()\n"
        "over.set()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "steps.db")], check=True, timeout=120)


def test_a_recorder_that_nobody_holds_is_gone_at_once() -> None:
    """It listens for as long as it is there: until the garbage collector came by, it would."""
    recorder = StepRecorder([])
    gone = weakref.ref(recorder)
    del recorder
    assert gone() is None


def test_several_recorders_write_one_file(tmp_path: Path) -> None:
    """Workers of one server share a log, each by its own connection: no row is lost to another's lock."""
    file = tmp_path / "steps.db"
    recorders = [StepRecorder(file) for _ in range(4)]
    for number in range(400):
        recorders[number % 4].add(step(number))
    assert all(recorder.close(PATIENCE) for recorder in recorders)
    assert len(read(file)) == 400
    assert sum(recorder.dropped for recorder in recorders) == 0


def test_flush_waits_for_what_was_put() -> None:
    """Whoever exports a log afterwards has all of it."""
    slow = threading.Event()
    got: list[str] = []

    def take(each: Step) -> None:
        slow.wait()
        got.append(each.id)

    recorder = StepRecorder(take)
    recorder.add(step(1))
    began = time.monotonic()
    assert not recorder.flush(0.0)
    assert time.monotonic() - began < PATIENCE
    slow.set()
    assert recorder.flush(PATIENCE)
    assert got == ["id-1"]
    recorder.close(PATIENCE)
