"""Another process: it resumes a thread that one of the tests left open, and says what came of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from langgraph.types import Command

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver
from langgraph_guard.testing.contracts.saver import STORED_TYPES, graphs
from langgraph_guard.testing.contracts.saver.harness import at
from tests.checkpoint.cloudflare.fronts import BUSY
from tests.servers.kv import KVPlace


def elsewhere(way: str, place: KVPlace, token: str, **options: Any) -> Any:
    """The state after another process answered."""
    words = [way, place.url, place.api_token or "", token, json.dumps(options)]
    worker = [sys.executable, "-m", "tests.checkpoint.cloudflare.worker", *words]
    return json.loads(subprocess.run(worker, capture_output=True, check=True, timeout=240).stdout)


def resume(way: str, url: str, api_token: str, kv_at_least: str, options: dict[str, Any]) -> Any:
    """The state after the answer."""
    terms = {"allowed_types": STORED_TYPES, "deadline": BUSY, **options}
    with CloudflareKVSaver.from_conn_string(url, api_token=api_token or None, **terms) as saver:
        graph = graphs.nested(saver, remembers=True)
        config = at(kv_at_least=kv_at_least)
        if way == "sync":
            return graph.invoke(Command(resume="yes"), config)
        return asyncio.run(graph.ainvoke(Command(resume="yes"), config))


if __name__ == "__main__":
    print(json.dumps(resume(*sys.argv[1:5], json.loads(sys.argv[5]))))
