"""`langgraph-guard budgets`: how the accounts stand that workers share, and what to do about it.

arguments   what can be said
store       the backend that it is said to
snapshot    what there is to see, read page by page
tables      how it looks
watching    looking again and again
deeds       what people do, each of which is on record
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console

from langgraph_guard.backends.protocols import Clock, SystemClock
from langgraph_guard.cli.budgets import deeds, tables, watching
from langgraph_guard.cli.budgets.arguments import asked
from langgraph_guard.cli.budgets.snapshot import Snapshot, look
from langgraph_guard.cli.budgets.store import Place, opened
from langgraph_guard.errors import ConfigError, GuardError

FAILED, WRONG = 1, 2
"""Exit codes: it could not be done; it cannot be meant."""


def main(argv: Sequence[str], console: Console | None = None, clock: Clock | None = None) -> int:
    said = asked(argv)
    shown = console or tables.console()
    try:
        with opened(Place(said.url, said.sqlite, said.tenant, said.prefix, said.slots)) as backend:
            if said.deed is not None:
                return deeds.do(said, backend, shown)

            def seen() -> Snapshot:
                return look(backend, said.circuit)

            if said.watch:
                return watching.watch(seen, shown, said.top, said.every, clock or SystemClock())
            found = seen()
            if said.json:
                print(json.dumps(found.as_json(), indent=2))
            else:
                shown.print(tables.page(found, said.top))
            return 0
    except ConfigError as error:
        print(f"langgraph-guard budgets: {error}", file=sys.stderr)
        return WRONG
    except GuardError as error:
        print(f"langgraph-guard budgets: {error}", file=sys.stderr)
        return FAILED
