"""The front fails as it was told to, says it as Cloudflare does, and moves with the clock of the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from langgraph_guard.testing import FakeClock
from tests.servers.kv import KVPlace
from tests.servers.kv_calls import counted, refused
from tests.servers.kv_front import NAMESPACE, READ_ONLY, Fault, KVFront, Quota


@pytest.fixture
def clock() -> FakeClock:
    """Moved by the test alone."""
    return FakeClock()


@pytest.fixture
def front(clock: FakeClock) -> KVFront:
    """In good weather."""
    return KVFront(clock)


@pytest.fixture
def http(front: KVFront) -> Iterator[httpx.Client]:
    """A client with the right token."""
    with front.place.client(transport=front.transport) as client:
        yield client


def put(http: httpx.Client, *keys: str, value: str = "v", **terms: Any) -> httpx.Response:
    """One bulk write."""
    return http.put("/bulk", json=[{"key": key, "value": value, **terms} for key in keys])


def value(http: httpx.Client, key: str) -> str | None:
    """What a read sees."""
    found: dict[str, str | None] = http.post("/bulk/get", json={"keys": [key]}).json()["result"]["values"]
    return found[key]


def names(http: httpx.Client) -> list[str]:
    """What a listing sees."""
    return [each["name"] for each in http.get("/keys").json()["result"]]


def seen(http: httpx.Client, key: str) -> tuple[bool, bool]:
    """Whether a listing, and then a read, sees it."""
    return key in names(http), value(http, key) is not None


# Who asks


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a-token"}], ids=repr)
def test_without_a_known_token_nothing_is_answered(front: KVFront, sent: dict[str, str]) -> None:
    """The simulator asks for none, so a saver that forgets to send it would pass there."""
    with httpx.Client(base_url=front.place.url, headers=sent, transport=front.transport) as http:
        assert refused(put(http, "a")) == (401, 10000)
        assert refused(http.get("/keys")) == (401, 10000)
    assert front.store.names(NAMESPACE) == []


def test_a_token_that_reads_may_not_write(front: KVFront) -> None:
    """The permission that people forget to give."""
    sent = {"Authorization": f"Bearer {READ_ONLY}"}
    with httpx.Client(base_url=front.place.url, headers=sent, transport=front.transport) as http:
        assert http.get("/keys").is_success
        assert value(http, "a") is None
        assert refused(put(http, "a")) == (403, 10000)
        assert refused(http.post("/bulk/delete", json=["a"])) == (403, 10000)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/accounts/another/storage/kv/namespaces/langgraph/keys", 403, 10000),
        ("/storage/kv/namespaces/langgraph/keys", 403, 10000),
        ("/accounts/0123456789abcdef0123456789abcdef/storage/kv/namespaces/another/keys", 404, 10013),
        ("/accounts/0123456789abcdef0123456789abcdef/storage/kv/namespaces/langgraph/nothing", 404, 7003),
        ("/elsewhere", 404, 7003),
    ],
)
def test_a_wrong_address_says_what_is_wrong(front: KVFront, path: str, status: int, code: int) -> None:
    """Account, namespace and path fail differently at the service."""
    with httpx.Client(headers=front.place.headers, transport=front.transport) as http:
        assert refused(http.get(front.place.base_url + path)) == (status, code)


# How often


def test_every_answer_tells_how_much_is_left(clock: FakeClock) -> None:
    """From this a client knows to slow down before it is blocked."""
    front = KVFront(clock, quota=Quota(requests=10, window=300))
    with front.place.client(transport=front.transport) as http:
        put(http, "a")
        clock.advance(100)
        answer = http.get("/values/missing")
    assert answer.headers["ratelimit"] == '"default";r=8;t=200'
    assert answer.headers["ratelimit-policy"] == '"default";q=10;w=300'


def test_too_many_requests_are_refused_until_the_window_ends(clock: FakeClock) -> None:
    """1,200 in five minutes, and then nothing for what is left of them."""
    front = KVFront(clock, quota=Quota(requests=2, window=300))
    with front.place.client(transport=front.transport) as http:
        put(http, "a"), put(http, "b")
        clock.advance(10)
        answer = put(http, "c")
        assert refused(answer) == (429, 971)
        assert (answer.headers["retry-after"], answer.headers["ratelimit"]) == ("290", '"default";r=0;t=290')
        clock.advance(290)
        assert put(http, "d").is_success
    assert front.store.names(NAMESPACE) == ["a", "b", "d"]


@pytest.mark.parametrize("retry_after", [1, 300])
def test_one_request_is_throttled(front: KVFront, http: httpx.Client, retry_after: int) -> None:
    """For a short time or a long one; it is not done, and the next one is."""
    front.will(Fault(429, retry_after=retry_after))
    answer = put(http, "a")
    assert (refused(answer), answer.headers["retry-after"]) == ((429, 971), str(retry_after))
    assert put(http, "b").is_success
    assert front.store.names(NAMESPACE) == ["b"]


# What is seen


def test_a_write_is_seen_after_the_lag(front: KVFront, http: httpx.Client, clock: FakeClock) -> None:
    """In listings and in reads alike; the old value is seen until then."""
    put(http, "old", value="1")
    clock.advance(10)
    front.store.weather.lag = 1.5
    put(http, "old", value="2")
    put(http, "new")
    clock.advance(1.4)
    assert (names(http), value(http, "old"), value(http, "new")) == (["old"], "1", None)
    clock.advance(0.2)
    assert (names(http), value(http, "old"), value(http, "new")) == (["new", "old"], "2", "v")


def test_a_deletion_is_seen_after_the_lag(front: KVFront, http: httpx.Client, clock: FakeClock) -> None:
    """What was deleted shows up for a while."""
    put(http, "a")
    clock.advance(10)
    front.store.weather.lag = 1.5
    http.post("/bulk/delete", json=["a"])
    assert seen(http, "a") == (True, True)
    clock.advance(1.6)
    assert seen(http, "a") == (False, False)


def test_a_miss_is_remembered(front: KVFront, http: httpx.Client, clock: FakeClock) -> None:
    """Who reads a key too early does not see it when it is there. A listing remembers nothing."""
    front.store.weather.lag, front.store.weather.negative = 1.5, 5.0
    put(http, "early"), put(http, "late")
    assert value(http, "early") is None
    clock.advance(1.6)
    assert names(http) == ["early", "late"]
    assert (value(http, "early"), value(http, "late")) == (None, "v")
    clock.advance(3.5)
    assert value(http, "early") == "v"


def test_a_miss_is_remembered_for_single_reads_too(front: KVFront, http: httpx.Client, clock: FakeClock) -> None:
    """And it is one memory for both."""
    front.store.weather.negative = 5.0
    assert http.get("/values/a").status_code == 404
    put(http, "a")
    assert value(http, "a") is None
    clock.advance(5)
    assert http.get("/values/a").text == "v"


def test_what_expired_is_gone(http: httpx.Client, clock: FakeClock) -> None:
    """After a minute of the clock, not of the day."""
    put(http, "a", expiration_ttl=60)
    clock.advance(59)
    assert seen(http, "a") == (True, True)
    clock.advance(2)
    assert seen(http, "a") == (False, False)


def test_empty_pages_come_first_and_hide_nothing(front: KVFront, http: httpx.Client) -> None:
    """A listing may say nothing and not be over: whoever stops there loses a thread."""
    front.store.weather.empty_pages = 2
    keys = [f"{number:02}" for number in range(15)]
    put(http, *keys)
    pages: list[list[str]] = []
    cursor = ""
    while not pages or cursor:
        body = http.get("/keys", params={"limit": 10, "cursor": cursor}).json()
        pages.append([each["name"] for each in body["result"]])
        cursor = body["result_info"]["cursor"]
    assert pages == [[], [], keys[:10], keys[10:]]


# What fails


def test_a_key_is_written_once_per_second(front: KVFront, http: httpx.Client, clock: FakeClock) -> None:
    """A second write is refused: in bulk it alone, and the others are done."""
    front.store.weather.hot = 1.0
    put(http, "a", value="1")
    clock.advance(0.9)
    assert counted(put(http, "a", "b", value="2")) == (1, ["a"])
    assert http.put("/values/a", content=b"3").status_code == 429
    clock.advance(0.2)
    assert counted(put(http, "a", value="4")) == (1, [])
    assert (value(http, "a"), value(http, "b")) == ("4", "2")


def test_a_bulk_call_fails_in_part(front: KVFront, http: httpx.Client) -> None:
    """With status 200, so it must be looked for; the next attempt succeeds."""
    front.store.refuse("un", times=2)
    assert counted(put(http, "unlucky", "lucky")) == (1, ["unlucky"])
    assert counted(http.post("/bulk/delete", json=["lucky", "unlucky"])) == (1, ["unlucky"])
    assert counted(put(http, "unlucky")) == (1, [])


@pytest.mark.parametrize("status", [413, 500, 502, 503])
def test_one_request_fails(front: KVFront, http: httpx.Client, status: int) -> None:
    """It is not done."""
    front.will(Fault(status))
    assert refused(put(http, "a"))[0] == status
    assert names(http) == []


def test_a_request_may_fail_and_be_done(front: KVFront, http: httpx.Client) -> None:
    """A gateway's 502 says nothing of what happened behind it."""
    front.will(Fault(502, done=True))
    assert put(http, "a").status_code == 502
    assert names(http) == ["a"]


def test_faults_wait_for_their_call_and_happen_once(front: KVFront, http: httpx.Client) -> None:
    """In order among those that fit."""
    front.will(Fault(500, call="PUT bulk"), Fault(503), Fault(502, call="PUT bulk"))
    assert [http.get("/keys").status_code for _ in range(2)] == [503, 200]
    assert [put(http, "a").status_code for _ in range(3)] == [500, 502, 200]


def test_the_day_of_a_free_plan_is_over(front: KVFront, http: httpx.Client) -> None:
    """Waiting a minute does not help, and the code says so."""
    front.will(Fault(429, code=10048))
    assert refused(put(http, "a")) == (429, 10048)


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("cut", [0, 1, 20, 10_000])
def test_an_answer_is_cut(front: KVFront, http: httpx.Client, cut: int, done: bool) -> None:
    """The client cannot know whether it was done."""
    front.will(Fault(cut=cut, done=done))
    with pytest.raises(httpx.RemoteProtocolError):
        put(http, "a")
    assert names(http) == ["a"] * done


@pytest.fixture
def served(front: KVFront) -> Iterator[KVPlace]:
    """Over HTTP."""
    with front.served() as place:
        yield place


@pytest.mark.parametrize("cut", [0, 1, 20, 10_000])
def test_an_answer_is_cut_on_the_wire(front: KVFront, served: KVPlace, cut: int) -> None:
    """Over a socket as without; the next request is answered."""
    with served.client() as http:
        front.will(Fault(cut=cut, done=True))
        with pytest.raises(httpx.TransportError):
            put(http, "a")
        assert names(http) == ["a"]


def test_over_http_it_is_the_same_front(front: KVFront, served: KVPlace) -> None:
    """What one process writes over HTTP, another sees without; both are counted, and nothing is kept of a token."""
    with served.client() as far, front.place.client(transport=front.transport) as near:
        put(far, "a")
        assert names(near) == ["a"]
        assert refused(far.get("/values/b")) == (404, 10009)
    assert front.calls == ["PUT bulk", "GET keys", "GET values"]
    assert front.answered == [200, 200, 404]
    assert json.loads(front.requests[0].body) == [{"key": "a", "value": "v"}]


async def test_it_answers_on_an_event_loop(front: KVFront) -> None:
    """One transport for both worlds."""
    async with httpx.AsyncClient(
        base_url=front.place.url, headers=front.place.headers, transport=front.transport
    ) as http:
        assert (await http.get("/keys")).is_success
