"""Workers KV on a free loopback port, three times: Cloudflare's own simulator, and the gateway of the examples in it.

`wrangler dev` runs the gateway as it would be deployed; its local explorer serves the REST API beside it, unchanged. It
sees no account, no setting and no token of whoever runs the tests, and asks nobody for updates. It dies with the tests.
"""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.servers.kv_install import installed

EXAMPLE = Path(__file__).parent.parent.parent / "examples/cloudflare_gateway"
HOST = "127.0.0.1"
ACCOUNT = "0123456789abcdef0123456789abcdef"
PATIENCE = 60.0
"""Seconds until a simulator that does not come up is a failure; it takes 2 to 5."""


@dataclass(frozen=True)
class KVPlace:
    """One namespace of Workers KV, and how to reach it: what `CloudflareKVSaver` is told."""

    base_url: str
    namespace_id: str
    account_id: str | None = None
    api_token: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        account = "" if self.account_id is None else f"/accounts/{self.account_id}"
        return f"{self.base_url}{account}/storage/kv/namespaces/{self.namespace_id}"

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.api_token is None else {"Authorization": f"Bearer {self.api_token}"}

    def client(self, **terms: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=60, **terms)


class KVSimulator:
    """`wrangler dev` in a folder of its own. `settings` are the variables of the gateway."""

    def __init__(self, **settings: str) -> None:
        self.token = secrets.token_urlsafe(16)
        self.folder = Path(tempfile.mkdtemp(prefix="kv-"))
        self.port = 0
        self._settings = {"API_TOKEN": self.token, "ACCOUNT_ID": ACCOUNT, "DO_NAMESPACES": "test-*", **settings}
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> Self:
        node, wrangler = installed()
        # A folder that has nothing else in it: wrangler watches it, and starts again at each change.
        worker = self.folder / "worker"
        shutil.copytree(EXAMPLE, worker, ignore=shutil.ignore_patterns("README.md", ".wrangler"), dirs_exist_ok=True)
        self._process = subprocess.Popen(
            [node.binary, "--no-warnings", wrangler, *self._words()],
            cwd=worker,
            env=self._environment(node.binary.parent),
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / "log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group: node, and the workerd processes that it starts
            preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call into the kernel, no lock and no import
        )
        self._wait()
        return self

    def stop(self) -> None:
        """Node ends what it started; whatever is left of the group is killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    # Places

    def explorer(self, namespace: str = "") -> KVPlace:
        """A namespace of Cloudflare's simulator; a new one for each call, as no name is taken there."""
        return KVPlace(f"{self._root}/cdn-cgi/local/explorer/api", namespace or f"n{secrets.token_hex(8)}")

    def gateway_kv(self) -> KVPlace:
        """The gateway over KV. It has one namespace: tests keep apart by the prefix of their keys."""
        return KVPlace(f"{self._root}/kv", "LANGGRAPH", ACCOUNT, self.token)

    def gateway_do(self, namespace: str = "") -> KVPlace:
        """The gateway over Durable Objects; each call leads to a namespace of its own."""
        return KVPlace(f"{self._root}/do", f"test-{namespace or secrets.token_hex(8)}", ACCOUNT, self.token)

    # How it is started

    @property
    def _root(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _words(self) -> list[str]:
        settings = [word for name, value in self._settings.items() for word in ("--var", f"{name}:{value}")]
        ports = ["--ip", HOST, "--port", "0", "--inspector-port", "0"]
        return ["dev", "--no-bundle", *ports, "--persist-to", str(self.folder / "state"), *settings]

    def _environment(self, path: Path) -> Mapping[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{path}{os.pathsep}{os.defpath}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "CI": "1",  # no questions
            "WRANGLER_SEND_METRICS": "false",
            "WRANGLER_SEND_ERROR_REPORTS": "false",
            "WRANGLER_WRITE_LOGS": "false",
            "WRANGLER_HIDE_BANNER": "true",  # it comes with a look for updates
            "CLOUDFLARE_CF_FETCH_ENABLED": "false",  # where a request comes from is asked of a server otherwise
            "X_LOCAL_OBSERVABILITY": "false",
        }

    def _wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if time.monotonic() > end:
                raise TimeoutError(f"the Workers KV simulator did not come up in {PATIENCE:.0f} s\n{self.log()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise RuntimeError(f"wrangler dev ended:\n{self.log()}")
        if not (ready := re.search(r"Ready on http://[\d.]+:(\d+)", self.log())):
            return False
        self.port = int(ready[1])
        try:
            return httpx.get(f"{self.explorer('up').url}/keys", timeout=10).is_success
        except httpx.HTTPError:
            return False


_RUNNING = pytest.StashKey[KVSimulator]()


@pytest.fixture(scope="session")
def kv_simulator(pytestconfig: pytest.Config) -> Iterator[KVSimulator]:
    """One per worker, and only when a test asks for it. Tests share it, and keep to namespaces or prefixes.

    Each module that imports a fixture has one of its own: the first starts the server and is the last to end.
    """
    if _RUNNING in pytestconfig.stash:
        yield pytestconfig.stash[_RUNNING]
        return
    with KVSimulator() as simulator:
        pytestconfig.stash[_RUNNING] = simulator
        yield simulator
    del pytestconfig.stash[_RUNNING]


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    if _libc:
        _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; a polite one, so that node takes its own along
