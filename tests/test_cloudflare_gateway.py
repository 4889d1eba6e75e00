"""The gateway of the examples, in Cloudflare's own runtime: over KV and over Durable Objects, the API as it is."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare.layout import Keyspace, Space
from langgraph_guard.checkpoint.cloudflare.names import Stamps
from tests.servers.kv import ACCOUNT, EXAMPLE, KVPlace, KVSimulator
from tests.servers.kv_calls import SingleCalls, counted, refused

THREADS = 70
"""More objects than one page asks, twice."""


class OnGateway(SingleCalls):
    """What the gateway does beyond, in both modes."""

    @pytest.fixture
    def _served(self, kv_simulator: KVSimulator) -> None:
        self.simulator = kv_simulator

    def test_more_pairs_than_an_invocation_may_write_are_all_written(self) -> None:
        """KV takes 1,000 calls from one invocation of a Worker; the API takes 10,000 pairs."""
        keys = [f"{number:05}" for number in range(910)]
        self.put_keys(keys)
        assert self.names() == keys
        assert counted(self.delete(*keys)) == (910, [])
        assert self.names() == []

    def test_metadata_is_read_alone(self) -> None:
        """A call of the API that the simulator does not have."""
        self.put({"key": "a", "metadata": {"n": [1, None]}}, {"key": "b"})
        url = self.url("a").replace("values", "metadata", 1)
        assert self.http.get(url).json()["result"] == {"n": [1, None]}
        assert refused(self.http.get(f"{url}x")) == (404, 10009)

    def test_a_bulk_read_shows_metadata(self) -> None:
        """`withMetadata`, which the simulator ignores."""
        self.put({"key": "a", "value": "1", "metadata": {"n": 1}}, {"key": "b", "value": "2"})
        body = {"keys": [self.at + key for key in "abc"], "withMetadata": True}
        found = self.http.post("/bulk/get", json=body).json()["result"]["values"]
        assert [found[self.at + key] for key in "abc"] == [
            {"value": "1", "metadata": {"n": 1}},
            {"value": "2", "metadata": None},
            None,
        ]

    def test_one_write_may_carry_metadata_and_an_expiry(self) -> None:
        """As the API's form has it; the simulator forgets the expiry."""
        form: Any = {"value": b"\x00\xff", "metadata": (None, json.dumps({"n": 1}))}
        before = time.time()
        assert self.http.put(self.url("a"), files=form, params={"expiration_ttl": 60}).is_success
        (listed,) = self.listed()
        assert (listed["name"], listed["metadata"]) == ("a", {"n": 1})
        assert before - 2 < listed["expiration"] - 60 < time.time() + 2
        assert self.http.get(self.url("a")).content == b"\x00\xff"

    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x"]
    )
    def test_without_its_token_it_does_nothing(self, header: str) -> None:
        """Whoever finds the address of a Worker must not find the conversations behind it."""
        sent = {"Authorization": header.format(token=self.simulator.token).strip()}
        answers = [
            self.http.put("/bulk", json=[{"key": f"{self.at}a", "value": "v"}], headers=sent),
            self.http.get("/keys", headers=sent),
            self.http.get("/nowhere", headers=sent),
        ]
        assert [refused(answer) for answer in answers] == [(401, 10000)] * 3
        assert self.names() == []

    def test_a_refusal_does_not_break_the_connection(self) -> None:
        """The body of a request that is refused at its first line is read to its end; the next one is answered."""
        large = b"x" * 30_000_000
        assert self.http.put(self.url("a"), content=large).status_code == 413
        assert self.http.put("/bulk", content=large, headers={"Authorization": "Bearer no"}).status_code == 401
        assert self.names() == []

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "{root}/storage/kv/namespaces/unknown/keys", 404, 10013),
            ("GET", "{root}/storage/kv/namespaces/API_TOKEN/keys", 404, 10013),
            ("GET", "{root}/storage/kv/namespaces/SHARDS/keys", 404, 10013),
            ("GET", "{root}/storage/kv/namespaces/constructor/keys", 404, 10013),
            ("GET", "{account}/storage/kv/namespaces/{namespace}/keys", 403, 10000),
            ("GET", "{other}/storage/kv/namespaces/{namespace}/keys", 403, 10000),
            ("GET", "{root}/storage/kv/namespaces/{namespace}/nothing", 404, 7003),
            ("POST", "{root}/storage/kv/namespaces/{namespace}/keys", 404, 7003),
            ("DELETE", "{root}/storage/kv/namespaces/{namespace}/bulk", 404, 7003),
            ("GET", "{root}/storage/kv/namespaces/{namespace}/values/", 404, 7003),
            ("GET", "{root}/storage/kv/namespaces/{namespace}/values/%FF", 400, 10001),
            ("GET", "/", 404, 7003),
        ],
    )
    def test_a_wrong_address_says_so(self, method: str, path: str, status: int, code: int) -> None:
        """Nothing is taken for something else: no setting for a namespace, no account for another."""
        place = self.place()
        root = f"{place.base_url}/accounts/{ACCOUNT}"
        parts = {"root": root, "account": place.base_url, "other": f"{root}0", "namespace": place.namespace_id}
        url = httpx.URL(place.base_url).join(path.format(**parts))
        assert refused(httpx.request(method, url, headers=place.headers, timeout=60)) == (status, code)

    @pytest.mark.slow
    @pytest.mark.timeout(240)
    def test_what_has_expired_is_gone(self) -> None:
        """A minute is the shortest life there is; it takes as long to see it end."""
        self.put({"key": "a", "expiration_ttl": 60}, {"key": "b"})
        end = time.monotonic() + 150
        while self.names() != ["b"] and time.monotonic() < end:
            time.sleep(1)
        assert self.listed() == [{"name": "b"}]
        assert self.values("a", "b") == {"a": None, "b": "v"}
        assert refused(self.http.get(self.url("a"))) == (404, 10009)


class TestGatewayOverKV(OnGateway):
    """Over the binding of Workers KV."""

    def place(self) -> KVPlace:
        return self.simulator.gateway_kv()


@pytest.mark.slow
class TestGatewayOverObjects(OnGateway):
    """Over Durable Objects: keys that belong to no thread, and share the object of their namespace."""

    def place(self) -> KVPlace:
        return self.simulator.gateway_do()


class TestGatewayOverThreads(OnGateway):
    """Over Durable Objects: keys of one thread, which have an object of their own."""

    def place(self) -> KVPlace:
        return self.simulator.gateway_do()

    def prefix(self) -> str:
        return f"lgg1/=/t/t{secrets.token_hex(6)}/"


@pytest.mark.slow
class TestGatewayAcrossThreads(TestGatewayOverObjects):
    """Over Durable Objects: each key in a thread of its own, as far as a key says."""

    def prefix(self) -> str:
        return "lgg1/=/t/"


@pytest.fixture
def objects(kv_simulator: KVSimulator) -> Any:
    """A client of a namespace of Durable Objects that is empty."""
    with kv_simulator.gateway_do().client() as client:
        yield client


def names(client: httpx.Client, prefix: str, limit: int) -> list[str]:
    """All pages of a listing."""
    found, cursor = [], None
    while cursor != "":
        page = client.get("/keys", params={"prefix": prefix, "limit": limit, "cursor": cursor or ""}).json()
        found += [each["name"] for each in page["result"]]
        cursor = page["result_info"]["cursor"]
    return found


def write(client: httpx.Client, *keys: str) -> None:
    """Keys that hold themselves."""
    answer = client.put("/bulk", json=[{"key": key, "value": key} for key in keys])
    assert counted(answer) == (len(keys), [])


def test_a_body_that_does_not_say_how_long_it_is_is_measured(kv_simulator: KVSimulator) -> None:
    """What is too long is read to its end and not kept: a Worker has 128 MB of memory."""
    with kv_simulator.gateway_kv().client() as http:
        parts = (b"x" * 1_000_000 for _ in range(51))
        assert refused(http.put("/bulk", content=parts)) == (413, 10001)
        assert http.get("/keys", params={"prefix": "x"}).is_success


@pytest.mark.parametrize("limit", [10, 11, 1_000])
def test_a_listing_goes_through_all_objects_in_order(objects: httpx.Client, limit: int) -> None:
    """Each thread has its object, and a page asks some of them: no key twice, none left out, none too early."""
    threads = [f"lgg1/=/t/{number:02}/=/{part}" for number in range(THREADS) for part in ("a", "é")]
    others = ["lgg1/=/r/run/00/=", "lgg1/=/t/20", "lgg1/=/t/69/", "lgg1/=/t0", "lgg2/=/t/00/=/a", "zz"]
    write(objects, *reversed(threads), *others)
    assert names(objects, "", limit) == sorted(threads + others, key=str.encode)
    assert names(objects, "lgg1/=/t/", limit) == sorted(threads + others[1:3], key=str.encode)
    assert names(objects, "lgg1/=/t/2", limit) == sorted(
        [key for key in threads + others if key.startswith("lgg1/=/t/2")], key=str.encode
    )


def test_a_thread_that_was_deleted_is_not_listed_and_may_come_back(objects: httpx.Client) -> None:
    """Its object forgets everything, its name too; a new run under the same id starts it again."""
    write(objects, "lgg1/=/t/one/=/a", "lgg1/=/t/one/=/b", "lgg1/=/t/two/=/a")
    for _ in range(3):
        objects.post("/bulk/delete", json=["lgg1/=/t/one/=/a", "lgg1/=/t/one/=/b"]).raise_for_status()
        assert names(objects, "lgg1/", 10) == ["lgg1/=/t/two/=/a"]
        write(objects, "lgg1/=/t/one/=/b")
        assert names(objects, "lgg1/", 10) == ["lgg1/=/t/one/=/b", "lgg1/=/t/two/=/a"]


def test_the_home_object_forgets_threads_that_are_gone(kv_simulator: KVSimulator) -> None:
    """Otherwise each listing would ask the objects of all threads that ever were."""
    place = kv_simulator.gateway_do()

    def known() -> list[str]:
        """What its table has."""
        return [name for (name,) in ask(kv_simulator, place, "", "SELECT CAST(name AS TEXT) FROM names ORDER BY name")]

    with place.client() as client:
        write(client, "lgg1/=/t/a/=/1", "lgg1/=/t/a/=/2", "lgg1/=/t/b/=/1", "lgg1/=/r/run/a/=")
        before = known()
        client.post("/bulk/delete", json=["lgg1/=/t/a/=/1", "lgg1/=/t/b/=/1", "lgg1/=/r/run/a/="]).raise_for_status()
    assert (before, known()) == (["lgg1/=/t/a/", "lgg1/=/t/b/"], ["lgg1/=/t/a/"])


def ask(simulator: KVSimulator, place: KVPlace, name: str, sql: str) -> Any:
    """The rows of a query; Cloudflare's simulator lets one look into objects."""
    spaces = f"{simulator.explorer().base_url}/workers/durable_objects/namespaces"
    (space,) = httpx.get(spaces, timeout=60).json()["result"]
    named = json.dumps([place.namespace_id, name], separators=(",", ":"))
    body = {"durable_object_name": named, "queries": [{"sql": sql}]}
    (found,) = httpx.post(f"{spaces}/{space['id']}/query", json=body, timeout=60).json()["result"]
    return found["rows"]


def test_a_chunk_of_a_value_is_one_row(kv_simulator: KVSimulator) -> None:
    """Each row that is written is billed, and so is a row in an index: a table with row ids would have one."""
    place, thread = kv_simulator.gateway_do(), "lgg1/=/t/a/"
    with place.client() as client:
        write(client, f"{thread}=/1")
    tables = dict(
        ask(kv_simulator, place, thread, "SELECT name, sql FROM sqlite_master WHERE name IN ('chunks', 'entries')")
    )
    assert [sql.endswith("WITHOUT ROWID") for sql in tables.values()] == [True, True]


def test_an_object_that_was_made_with_the_older_table_goes_on(kv_simulator: KVSimulator) -> None:
    """Threads outlive the Worker's versions; the first one kept chunks by row ids, and its objects keep that table."""
    place, thread = kv_simulator.gateway_do(), "lgg1/=/t/a/"
    keys = [f"{thread}=/{number}" for number in (1, 2)]
    with place.client() as client:
        write(client, "lgg1/=/t/a/=/0")
        ask(kv_simulator, place, thread, "DROP TABLE chunks")
        ask(kv_simulator, place, thread, "CREATE TABLE chunks (key BLOB, at INTEGER, data BLOB, PRIMARY KEY (key, at))")
        for _ in range(2):  # each key is written over
            write(client, *keys)
        found = client.post("/bulk/get", json={"keys": keys}).json()["result"]["values"]
        client.post("/bulk/delete", json=keys).raise_for_status()
        assert (found, names(client, "", 10)) == ({key: key for key in keys}, ["lgg1/=/t/a/=/0"])


def test_namespaces_have_nothing_in_common(kv_simulator: KVSimulator) -> None:
    """The name of an object has the namespace in it, in a way that no key can imitate."""
    with kv_simulator.gateway_do().client() as one, kv_simulator.gateway_do().client() as other:
        write(one, "lgg1/=/t/a/=/k", "k")
        assert names(other, "", 10) == []
        found = other.post("/bulk/get", json={"keys": ["lgg1/=/t/a/=/k", "k"]}).json()["result"]["values"]
        assert found == {"lgg1/=/t/a/=/k": None, "k": None}


async def test_a_bulk_write_to_a_thread_is_seen_whole_or_not_at_all(kv_simulator: KVSimulator) -> None:
    """A checkpoint and its writes travel together; no reader may find one without the other."""
    place, keys = kv_simulator.gateway_do(), [f"lgg1/=/t/a/=/{number}" for number in range(20)]
    seen: set[frozenset[Any]] = set()
    async with httpx.AsyncClient(base_url=place.url, headers=place.headers, timeout=60) as client:

        async def writes() -> None:
            for turn in range(15):
                pairs = [{"key": key, "value": f"{turn} {'x' * 10_000}"} for key in keys]
                (await client.put("/bulk", json=pairs)).raise_for_status()

        async def reads() -> None:
            while not writing.done():
                answer = (await client.post("/bulk/get", json={"keys": keys})).raise_for_status()
                seen.add(frozenset(answer.json()["result"]["values"].values()))

        writing = asyncio.create_task(writes())
        await asyncio.gather(writing, *(reads() for _ in range(4)))
    assert {len(values) for values in seen} == {1}
    assert len(seen) > 1


async def test_what_was_answered_is_seen_by_everyone(kv_simulator: KVSimulator) -> None:
    """Which KV does not promise, and a run that goes on in another process needs."""
    place, numbers = kv_simulator.gateway_do(), count()
    async with httpx.AsyncClient(base_url=place.url, headers=place.headers, timeout=60) as client:

        async def write_and_look() -> bool:
            key = f"lgg1/=/t/a/=/{next(numbers)}"
            (await client.put("/bulk", json=[{"key": key, "value": "v"}])).raise_for_status()
            listed = (await client.get("/keys", params={"prefix": "lgg1/=/t/a/"})).json()["result"]
            return key in [each["name"] for each in listed]

        assert all(await asyncio.gather(*(write_and_look() for _ in range(30))))


@pytest.mark.slow
def test_without_a_token_of_its_own_it_answers_nobody() -> None:
    """Deployed and not yet told its secret, it must not be open; an empty bearer must not match an empty secret."""
    with KVSimulator(API_TOKEN="") as simulator:
        for place in (simulator.gateway_kv(), simulator.gateway_do()):
            for sent in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer undefined"}):
                assert refused(httpx.get(f"{place.url}/keys", headers=sent, timeout=60)) == (500, 10001)


@pytest.mark.parametrize("thread", ["a", "user:7/é", "x" * 500])
@pytest.mark.parametrize("tenant", ["", "acme/north"])
def test_all_keys_of_a_thread_share_an_object(tenant: str, thread: str) -> None:
    """Only what is in one object is written whole or not at all: the Worker must read keys as the saver writes them."""
    (found,) = re.findall(r"^const THREAD = /(.*)/;$", (EXAMPLE / "worker.js").read_text(), re.MULTILINE)
    shard = re.compile(found.replace("\\/", "/"))
    keys, spaces = Keyspace(tenant=tenant), [Space.of(thread, ns) for ns in ("", "child:1|deeper:2")]
    stamps = Stamps(lambda: 1.0)
    of_thread = [
        name(space, "1ef0-id", stamps.next()) for space in spaces for name in (keys.head, keys.write, keys.head)
    ]
    assert {match[0] for key in of_thread if (match := shard.match(key))} == {keys.thread(spaces[0].thread)}
    assert all(map(shard.match, of_thread))
    assert [shard.match(keys.indexed("run", space)) for space in spaces] == [None, None]


def test_the_readme_names_every_setting() -> None:
    """What can be set and is not in the README is found by reading the code."""
    settings = set(re.findall(r"\benv\.([A-Z_]+)", (EXAMPLE / "worker.js").read_text()))
    assert settings == {"API_TOKEN", "ACCOUNT_ID", "DO_NAMESPACES", "SHARDS"}
    told = (EXAMPLE / "README.md").read_text() + Path(EXAMPLE / "wrangler.jsonc").read_text()
    assert {name for name in settings if name not in told} == set()
