"""`python -m benchmarks.away PORT SECONDS`: a proxy that holds every byte back, both ways, until its stdin ends."""

from __future__ import annotations

import sys

from benchmarks.servers import HOST
from langgraph_guard.testing.faults import FaultProxy


def main(port: str, seconds: str) -> None:
    with FaultProxy(HOST, int(port)) as proxy:
        proxy.delay(float(seconds))
        print(proxy.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
