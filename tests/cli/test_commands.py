"""The command line: what it offers, and how it ends."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import pytest

from langgraph_guard import cli


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is how people find a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(name in said for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` behind a command belongs to the command, and plays nothing."""
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"langgraph-guard {name}" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["demo", "--nonsense"], ["demo", "nonsense"]])
def test_wrong_arguments_end_with_two_and_a_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts tell a typing error from a failure by it."""
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert "langgraph-guard" in capsys.readouterr().err


def test_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Leaving is not an error."""

    def interrupted(argv: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("langgraph_guard.cli.demo"), "main", interrupted)
    assert cli.main(["demo"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_has_read_enough_gets_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """`… | head`; and where a test or a notebook captures what is said, there is no file below it."""

    def cut_off(argv: Any) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(import_module("langgraph_guard.cli.demo"), "main", cut_off)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert cli.main(["demo"]) == 1
