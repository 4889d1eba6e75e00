"""Whatever answers, or does not: a saver gives the truth, or one of its own errors, and never half of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, listing, scanning
from langgraph_guard.errors import StoreRateLimited, StoreRefused, StoreUnavailable
from langgraph_guard.testing.contracts.saver.harness import about, at, task, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv_front import Fault, KVFront

A_PAGE = "<html><body><h1>502 Bad Gateway</h1>nginx</body></html>"


@pytest.fixture
def front() -> KVFront:
    """With one checkpoint in it."""
    front = fronts.front()
    fronts.saver(front).put(at(), checkpoint(uid(1), a="old"), about(1), {})
    return front


class Intruder:
    """Answers the next requests in the place of the service."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response | None:
        if not self.answers:
            return None
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def behind(front: KVFront, *answers: httpx.Response | Exception, **options: Any) -> CloudflareKVSaver:
    """A saver that meets `answers` first."""
    return fronts.over(fronts.answering(front, Intruder(*answers)), front, **options)


def calls(saver: CloudflareKVSaver) -> Sequence[Callable[[], Any]]:
    """One of each kind."""
    return (
        lambda: saver.put(at(), checkpoint(uid(2), a="new"), about(2), {}),
        lambda: saver.put_writes(at(id=uid(1)), [("c", 1)], task(1)),
        lambda: saver.get_tuple(at()),
        lambda: [*saver.list(None)],
        lambda: saver.copy_thread("t", "copy"),
        lambda: saver.prune(["t"]),
        lambda: saver.delete_for_runs(["r"]),
        lambda: saver.delete_thread("t"),
    )


# Not JSON, or not the API's


@pytest.mark.parametrize("status", [200, 502, 503, 504])
def test_a_proxys_page_is_no_answer_and_the_request_is_sent_again(front: KVFront, status: int) -> None:
    """Whatever stands between answers for the service while that is away; with HTML, and a 200 at times."""
    for number in range(8):
        calls(behind(front, httpx.Response(status, html=A_PAGE)))[number]()
    assert {key.split("/")[3] for key in fronts.names(front)} == {"copy"}  # the last call deleted the thread
    assert len(front.clock.slept) == 8


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "result": None},
        {"success": True, "result": []},
        {"success": True, "result": [{}]},
        {"success": True, "result": [{"name": 7}]},
        {"success": True, "result": {"values": None}},
        {"success": True, "result": {"values": {"a": 7}}, "result_info": 5},
        {"success": True, "result": "ok"},
        {"success": True, "result": 7},
        {"success": False, "errors": [{"message": "no"}]},
        {"ok": True},
        [],
        "text",
        None,
    ],
    ids=str,
)
def test_json_of_another_form_is_refused_or_means_nothing(front: KVFront, body: Any) -> None:
    """Another server at this address; no `KeyError` of ours comes out of it, and nothing is made up."""
    for number in range(8):
        front = fronts.front()
        fronts.saver(front).put(at(), checkpoint(uid(1), a="old"), about(1), {})
        saver = behind(front, *(httpx.Response(200, json=body) for _ in range(50)))
        try:
            found = calls(saver)[number]()
        except (StoreRefused, StoreUnavailable):
            continue
        assert found in (None, [], at(id=uid(2))), found


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 405, 409, 410, 422])
def test_what_does_not_get_better_is_told_at_once(front: KVFront, status: int) -> None:
    """With its status; a page of HTML says no more."""
    with pytest.raises(StoreRefused, match=str(status)):
        behind(front, httpx.Response(status, html=A_PAGE)).get_tuple(at())
    assert front.clock.slept == []


# None


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("[Errno -2] Name or service not known"),
        httpx.ConnectTimeout("timed out"),
        httpx.ReadTimeout("timed out"),
        httpx.WriteError("broken pipe"),
        httpx.ReadError("reset by peer"),
        httpx.RemoteProtocolError("incomplete chunked read"),
        httpx.DecodingError("not gzip"),
        httpx.PoolTimeout("timed out"),
        httpx.ProxyError("403"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_exchange_that_fails_is_tried_again(front: KVFront, error: Exception) -> None:
    """A name that is not known for a moment, a connection that breaks: once, and it works then, in both worlds."""
    behind(front, error).put(at(), checkpoint(uid(2)), about(2), {})
    await behind(front, error).aput(at(), checkpoint(uid(3)), about(3), {})
    assert [each.checkpoint["id"] for each in fronts.saver(front).list(at())] == [uid(3), uid(2), uid(1)]


def test_a_name_that_is_never_known_is_an_error_in_time(front: KVFront) -> None:
    """And does not name the host: errors go into logs."""
    saver = behind(front, *(httpx.ConnectError("kv.test: Name or service not known") for _ in range(99)), deadline=5)
    with pytest.raises(StoreUnavailable) as caught:
        saver.get_tuple(at())
    assert "kv.test" not in f"{caught.value}{caught.value.__cause__}"
    assert sum(front.clock.slept) <= 5


def test_an_answer_that_is_slower_than_the_deadline_is_not_asked_for_again(front: KVFront) -> None:
    """One attempt waits for half a minute for a byte; a run must not wait for ten of them."""
    asked: list[str] = []

    def slow(request: httpx.Request) -> httpx.Response | None:
        asked.append(request.url.path)
        front.clock.advance(30)
        raise httpx.ReadTimeout("timed out", request=request)

    with pytest.raises(StoreUnavailable) as caught:
        fronts.over(fronts.answering(front, slow), front).put(at(), checkpoint(uid(2)), about(2), {})
    assert len(asked) == 1
    assert caught.value.waited == pytest.approx(30)


def test_a_storm_of_failures_is_survived_while_it_is_shorter_than_the_deadline(front: KVFront) -> None:
    """Nothing is lost, and nothing is stored twice."""
    saver = fronts.saver(front, deadline=60)
    for number in range(2, 12):
        front.will(*(Fault(status, done=bool(number % 2)) for status in (500, 503, 520)))
        saver.put(at(), checkpoint(uid(number)), about(number), {})
    assert len(fronts.names(front)) == 11
    assert len([*fronts.saver(front).list(at())]) == 11


def test_an_hour_is_not_waited_for(front: KVFront) -> None:
    """`Retry-After: 3600` is told to the caller, who knows better what to do meanwhile."""
    front.will(Fault(429, retry_after=3_600))
    with pytest.raises(StoreRateLimited, match="room again in 3600 s") as caught:
        fronts.saver(front).put(at(), checkpoint(uid(2)), about(2), {})
    assert caught.value.retry_after == 3_600
    assert front.clock.slept == []


# Pages


@pytest.fixture
def paged(front: KVFront, monkeypatch: pytest.MonkeyPatch) -> KVFront:
    """Sixty checkpoints, twenty to a page."""
    monkeypatch.setattr(scanning, "PAGE", 20)
    monkeypatch.setattr(listing, "PAGE", 20)
    saver = fronts.saver(front)
    for number in range(2, 61):
        saver.put(at(), checkpoint(uid(number)), about(number), {})
    return front


def expiring(front: KVFront, times: int) -> CloudflareKVSaver:
    """The next requests with a cursor are refused, so many times."""
    left = [times]

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if "cursor" not in request.url.params or not left[0]:
            return None
        left[0] -= 1
        return httpx.Response(400, json={"success": False, "errors": [{"code": 10001, "message": "cursor"}]})

    return fronts.over(fronts.answering(front, refuse), front)


def test_a_cursor_that_is_not_known_any_more_costs_time_and_nothing_else(paged: KVFront) -> None:
    """Who reads a history slowly comes back to a server that has forgotten where they were."""
    found = [each.checkpoint["id"] for each in expiring(paged, 1).list(at())]
    assert found == [uid(number) for number in range(60, 0, -1)]
    assert paged.calls.count("GET keys") == 4


def test_cursors_that_are_never_known_are_an_error(paged: KVFront) -> None:
    """Not a loop, which would be billed for every turn."""
    with pytest.raises(StoreRefused, match="list"):
        [*expiring(paged, 10**6).list(at())]
    assert paged.calls.count("GET keys") == 2


def test_pages_that_lead_to_themselves_are_an_error(front: KVFront) -> None:
    """The same."""
    circle = {"success": True, "result": [], "result_info": {"cursor": "again"}}
    with pytest.raises(StoreRefused, match="no end"):
        behind(front, *(httpx.Response(200, json=circle) for _ in range(99))).get_tuple(at())


def test_any_number_of_empty_pages_hides_nothing(front: KVFront) -> None:
    """Each has a cursor, so there is more."""
    front.store.weather.empty_pages = 40
    assert [each.checkpoint["id"] for each in fronts.saver(front).list(None)] == [uid(1)]
