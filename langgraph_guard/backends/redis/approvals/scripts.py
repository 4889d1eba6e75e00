"""The Lua that runs in the server: one verb per file, and every key that it touches is declared."""

from __future__ import annotations

from typing import Final

from langgraph_guard._redis.scripts import Script, load_script

_PACKAGE: Final = "langgraph_guard.backends.redis"
_JOURNAL: Final = ("approval/sha256", "approval/journal")
_APPROVALS: Final = (*_JOURNAL, "approval/approvals")


def _script(name: str, *parts: str) -> Script:
    sources = (load_script(_PACKAGE, f"lua/{file}").source for file in (*parts, name))
    return Script(name.partition("/")[2], "".join(sources))


REQUEST: Final = _script("approval/request", *_APPROVALS)
DECIDE: Final = _script("approval/decide", *_APPROVALS)
WITHDRAW: Final = _script("approval/withdraw", *_APPROVALS)
SWEEP: Final = _script("approval/sweep", *_APPROVALS)
TRAIL: Final = _script("approval/trail", *_JOURNAL)

CLAIM: Final = _script("outbox/claim", *_APPROVALS, "outbox/executions")
FINISH: Final = _script("outbox/finish", *_JOURNAL, "outbox/executions")
EXTEND: Final = _script("outbox/extend", *_JOURNAL, "outbox/executions")
RESOLVE: Final = _script("outbox/resolve", *_JOURNAL, "outbox/executions")
