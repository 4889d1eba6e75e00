"""`langgraph-guard replay`: a thread again from one of its steps, in a copy, with what its tools answered then.

    langgraph-guard replay app:graph --thread t-1 --failed
    langgraph-guard replay app:graph --thread t-1 --step 7 --set plan=short

`--step N` begins with the nodes of step N, `--failed` with the newest step that raised or in which a tool failed. The
thread is copied first, and only the copy is written to: other keys for its budget, its approvals and its outbox. Models
are asked anew and paid for; tools behind a `ToolGuard` answer as they did, and one that is called otherwise than then
ends the replay, unless `--live` lets all of them run. What is not seen from here: a node that calls a service by itself
does so again, and a store that threads share is the same store.

arguments   what can be said
loading     the graph, and whether its tools can be held back
forking     the copy, and the step it begins with
running     the run of the copy, with recorded results
trail       what a thread did, step by step, and where two of them part
show        how it is told
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from langgraph_guard.cli.replay.arguments import asked
from langgraph_guard.cli.replay.forking import chosen, fork
from langgraph_guard.cli.replay.loading import check_tools, loaded
from langgraph_guard.cli.replay.running import replay
from langgraph_guard.cli.replay.show import told
from langgraph_guard.cli.trace import wide
from langgraph_guard.errors import ConfigError, GuardError

FAILED, WRONG = 1, 2
"""Exit codes: the replay failed, it cannot be meant."""


def main(argv: Sequence[str], console: Console | None = None) -> int:
    said = asked(argv)
    try:
        graph = loaded(said.graph)
        if not said.live:
            check_tools(graph)
        start = chosen(graph, said.thread, None if said.failed else said.step)
        outcome = replay(graph, fork(graph, start, dict(said.set)), dict(said.config), live=said.live)
    except ConfigError as error:
        print(f"langgraph-guard replay: {error}", file=sys.stderr)
        return WRONG
    except GuardError as error:
        print(f"langgraph-guard replay: {error}", file=sys.stderr)
        return FAILED
    (console or wide()).print(told(outcome))
    return FAILED if outcome.error is not None else 0
