"""`langgraph-guard replay`: a thread again from one of its steps, in a copy, with what its tools answered then.

    langgraph-guard replay app:graph --thread t-1 --failed
    langgraph-guard replay app:graph --thread t-1 --step 7 --set plan=short

`--step N` begins with the nodes of step N, `--failed` with the newest step that raised or in which a tool failed. The
thread is copied first, and only the copy is written to. Budgets, circuits, approvals and outboxes are empty ones in
memory meanwhile, for all of this process, so nobody's limit is charged, nobody is asked, and nothing is claimed. Whom
the thread was run for (`user_id`, `tenant_id`), it is run for again, unless `--config` says otherwise. Models are asked
anew and paid for; tools behind a `ToolGuard` answer as they did, and people too. A tool that is called otherwise than
then, or by a node itself, ends the replay. With `--live` all tools run; people are asked anew, and it ends where it
asks. What is shown is redacted as the program's own `setup` says, else of credentials.

A circuit that was open then is closed now, so a run that it ended goes on. What is not seen from here: a node that
calls a service without a tool does so again, a `store=` that threads share is the same store, a backend that a node
makes while it runs is production's, and a meter of the program's own counts.

arguments   what can be said
loading     the graph, and whether its tools can be held back
reach       whether a guard stands behind a hook
forking     the copy, and the step it begins with
changing    what is written into it first
running     the run of the copy, with recorded results
apart       stores of its own, for the guards
people      what people said then
held        tools that no guard holds back
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
from langgraph_guard.observability.redaction import Redactor
from langgraph_guard.observability.setting_up import current

FAILED, WRONG = 1, 2
"""Exit codes: the replay failed, it cannot be meant."""


def main(argv: Sequence[str], console: Console | None = None) -> int:
    said = asked(argv)
    try:
        graph = loaded(said.graph)
        if not said.live:
            check_tools(graph)
        start = chosen(graph, said.thread, None if said.failed else said.step)
        seen = current()
        redactor = seen.redactor if seen is not None else Redactor()
        outcome = replay(graph, fork(graph, start, said.set), dict(said.config), live=said.live, redactor=redactor)
    except ConfigError as error:
        print(f"langgraph-guard replay: {error}", file=sys.stderr)
        return WRONG
    except GuardError as error:
        print(f"langgraph-guard replay: {error}", file=sys.stderr)
        return FAILED
    (console or wide()).print(told(outcome, redactor))
    return FAILED if outcome.error is not None else 0
