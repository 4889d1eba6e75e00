"""The Lua that runs in the server: one verb per file, small values only, and every key that it touches is declared."""

from __future__ import annotations

from typing import Final

from langgraph_guard._redis.scripts import Script, load_script

_PACKAGE: Final = "langgraph_guard.checkpoint.redis"


def _source(name: str) -> str:
    return load_script(_PACKAGE, f"lua/{name}").source


def _with_expiry(name: str) -> Script:
    return Script(name, _source("expire") + _source(name))


COMMIT: Final = _with_expiry("commit")
WRITE: Final = _with_expiry("write")
TOUCH: Final = _with_expiry("touch")
ADOPT: Final = _with_expiry("adopt")
COLLECT: Final = _with_expiry("collect")
INDEXED: Final = _with_expiry("indexed")
INDEX: Final = _with_expiry("index")
DROP: Final = Script("drop", _source("drop"))
REGISTER: Final = Script("register", _source("register"))
FORGET: Final = Script("forget", _source("forget"))
