"""Scripts are files, and are called by the hash that the server itself computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_guard._redis import RedisLink, Script, load_script
from tests.servers.redis import RedisServer


def test_a_script_is_the_file_beside_the_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lua stays in Lua files, where editors and reviewers expect it."""
    (tmp_path / "stored").mkdir()
    (tmp_path / "stored" / "__init__.py").touch()
    (tmp_path / "stored" / "put.lua").write_text("return 'é'\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_script("stored", "put") == Script("put", "return 'é'\n")


def test_the_hash_is_the_server_s(server: RedisServer) -> None:
    """Another hash would be NOSCRIPT for ever."""
    script = Script("put", "return 'é'\n")
    assert server.tell("SCRIPT", "LOAD", script.source) == script.sha.encode()


def test_a_script_that_the_server_forgot_is_loaded_again(server: RedisServer, link: RedisLink) -> None:
    """After SCRIPT FLUSH, a restart or a fail-over; EVAL is never used, so that its permission need not be granted."""
    script = Script("hello", "return ARGV[1]")
    for _ in range(2):
        assert link.execute([(script, 1, "k", "hi")]) == [b"hi"]
        server.tell("SCRIPT", "FLUSH")
    assert link.execute([("SET", "k", 1), (script, 1, "k", "hi"), (script, 1, "k", "ho")]) == [b"OK", b"hi", b"ho"]
    assert "eval" not in server.calls()
