"""The Lua that runs in the server: one verb per file, and every key that it touches is declared."""

from __future__ import annotations

from typing import Final

from langgraph_guard._redis.scripts import Script, load_script

_PACKAGE: Final = "langgraph_guard.backends.redis"


def _script(name: str, *parts: str) -> Script:
    files = ("meeting", *parts, name)
    return Script(name, "".join(load_script(_PACKAGE, f"lua/ledger/{file}").source for file in files))


BEGIN: Final = _script("begin")
REOPEN: Final = _script("reopen", "audit")
RESERVE: Final = _script("reserve", "accounts", "periods", "staying", "holds")
SETTLE: Final = _script("settle", "accounts", "holds", "closing")
RELEASE: Final = _script("release", "accounts", "holds", "closing")
EXPIRE: Final = _script("expire", "accounts", "holds", "closing")
EXTEND: Final = _script("extend", "holds")
OPEN_TURN: Final = _script("open_turn", "staying")
ENSURE: Final = _script("ensure", "accounts", "periods", "staying")
READ: Final = _script("read")
ADJUST: Final = _script("adjust", "accounts", "periods", "staying", "audit")
FREEZE: Final = _script("freeze", "staying", "audit")
LEASES: Final = _script("leases")
OWNERS: Final = _script("owners")
SURVEY: Final = _script("survey")
