"""`langgraph-guard approvals`: what waits for people's word, from any terminal that reaches the desk.

arguments   what can be said
store       the desk and the log that it is said to
text        words that others wrote, made harmless
screen      how it looks
looking     list, show, log, verify
deciding    approve, edit, reject, respond, sweep, resume
runs        the run that waits, gone on with
doubts      executions whose end nobody knows
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console

from langgraph_guard.backends.protocols import ApprovalBackend
from langgraph_guard.cli.approvals import deciding, doubts, looking, runs, store
from langgraph_guard.cli.approvals.arguments import asked
from langgraph_guard.cli.approvals.screen import Screen
from langgraph_guard.cli.approvals.text import cut
from langgraph_guard.cli.budgets import tables
from langgraph_guard.cli.budgets.store import Place, opened
from langgraph_guard.errors import ConfigError, GuardError, StoreError

REFUSED, WRONG, AWAY = 1, 2, 3
"""Exit codes: it did not count, or could not be done; it cannot be meant; the desk does not answer."""

DEEDS: Final[dict[str, Callable[[Namespace, ApprovalBackend, Screen], int]]] = {
    "list": looking.show_list,
    "show": looking.show_one,
    "log": looking.show_log,
    "verify": looking.verify,
    "approve": deciding.decide,
    "edit": deciding.decide,
    "reject": deciding.decide,
    "respond": deciding.decide,
    "resume": deciding.resume,
    "sweep": deciding.sweep,
    "doubts": doubts.show,
    "resolve": doubts.resolve,
}


def main(argv: Sequence[str], console: Console | None = None) -> int:
    said = asked(argv)
    try:
        with opened(Place(said.url, said.sqlite, said.tenant, said.prefix, said.slots)) as backend:
            return obey(said, store.with_desk(backend), console)
    except ConfigError as error:
        return _ended(WRONG, error)
    except StoreError as error:
        return _ended(AWAY, error)
    except GuardError as error:
        return _ended(REFUSED, error)


def obey(said: Namespace, backend: ApprovalBackend, console: Console | None = None) -> int:
    """Do what was said on a backend that is open; the exit code."""
    shown = Screen(console or tables.console(), said.json)
    try:
        return DEEDS[said.deed](said, backend, shown)
    except store.Unknown as error:
        return _ended(REFUSED, error)
    except runs.Failed as error:
        return _ended(REFUSED, f"what was decided stands, but the run failed: {error}")


def _ended(code: int, why: object) -> int:
    print(f"langgraph-guard approvals: {cut(str(why))}", file=sys.stderr)
    return code
