"""`saver.check()` tells what is wrong with a namespace, in words, before the first thread is lost to it."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport, findings
from langgraph_guard.checkpoint.cloudflare.check import Report
from langgraph_guard.checkpoint.cloudflare.transport import Refused
from langgraph_guard.errors import StoreRateLimited, StoreRefused, StoreUnavailable
from langgraph_guard.testing.contracts.saver.harness import about, at, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv import ACCOUNT, KVPlace, KVSimulator
from tests.servers.kv_front import NAMESPACE, NO_RIGHTS, READ_ONLY, TOKEN, Fault, KVFront, Quota
from tests.servers.kv_wire import DAILY

API = "https://api.cloudflare.com/client/v4"


@pytest.fixture
def front() -> KVFront:
    """A namespace as it should be; its clock is right."""
    found = fronts.front()
    found.ahead = 0.0
    return found


def saver_of(
    front: KVFront, *, base: str = "https://kv.test", account: str = ACCOUNT, namespace: str = NAMESPACE, **more: Any
) -> CloudflareKVSaver:
    """With an address and a token of its own."""
    token = more.pop("token", TOKEN)
    wire, now = front.transport, front.clock.now
    terms: dict[str, Any] = {"base_url": base, "blocking": wire, "asynchronous": wire, "now": now}
    transport = RestTransport(namespace, account_id=account, api_token=token, **terms)
    return CloudflareKVSaver(transport, clock=front.clock, **more)


def answering(said: httpx.Response) -> CloudflareKVSaver:
    """Something else is at the address, and says this to everything."""
    wire = httpx.MockTransport(lambda request: said)
    place = fronts.front().place
    return CloudflareKVSaver(
        RestTransport.of_url(place.url, api_token="t", blocking=wire, asynchronous=wire),
        clock=fronts.front().clock,
    )


def only(report: Report) -> tuple[str, str]:
    """Name and text of the only error."""
    (found,) = report.of("error")
    return found.name, found.says


def found(report: Report, name: str) -> str:
    """Level and text of what was found under a name."""
    return " ".join(f"{each.level}: {each.says}" for each in report.findings if each.name == name)


# A namespace as it should be


def test_a_sound_namespace_has_no_errors_and_no_warnings(front: KVFront) -> None:
    """A report that always warns is not read."""
    report = saver_of(front).check()
    assert {each.level for each in report.findings} == {"ok"}
    assert [each.name for each in report.findings] == ["transport", "permissions", "clock", "limits"]


def test_both_worlds_find_the_same() -> None:
    """One flow, two drivers."""
    assert asyncio.run(saver_of(fronts.front()).acheck()) == saver_of(fronts.front()).check()


def test_four_requests_are_all_that_it_takes(front: KVFront) -> None:
    """Each is billed, and processes start often."""
    saver_of(front).check()
    assert front.calls == ["GET keys", "PUT bulk", "POST bulk/get", "POST bulk/delete"]


def test_nothing_is_left_behind(front: KVFront) -> None:
    """And the threads that are there stay."""
    saver = saver_of(front)
    saver.put(at(), checkpoint(uid(1)), about(1), {})
    before = fronts.names(front)
    saver.check()
    assert fronts.names(front) == before
    assert [each.checkpoint["id"] for each in saver.list(None)] == [uid(1)]


def test_what_could_not_be_deleted_expires(front: KVFront) -> None:
    """A process may die in the middle."""
    front.will(Fault(403, 10000, call="POST bulk/delete"))
    saver_of(front).check()
    front.clock.advance(61)
    assert fronts.names(front) == []


def test_a_check_that_is_cut_short_leaves_nothing_either(front: KVFront) -> None:
    """Whatever it was that could not be looked at."""
    front.will(Fault(400, 10001, call="POST bulk/get"))
    assert only(saver_of(front).check())[0] == "server"
    assert fronts.names(front) == []


@pytest.mark.parametrize("mode", ["explorer", "gateway_kv", "gateway_do"])
def test_each_kind_of_place_is_sound_and_left_as_it_was(kv_simulator: KVSimulator, mode: str) -> None:
    """Cloudflare's simulator, and both gateways in its runtime."""
    place: KVPlace = getattr(kv_simulator, mode)()
    options: dict[str, Any] = {"prefix": f"check-{mode}", "visibility": 0, "deadline": fronts.BUSY}
    with CloudflareKVSaver.from_conn_string(place.url, api_token=place.api_token, **options) as saver:
        report = saver.check()
        transport = RestTransport.of_url(place.url, api_token=place.api_token)
        left = transport.list_keys("check-", 1_000, "").keys
        transport.close()
    assert {each.level for each in report.findings} == {"ok"}, str(report)
    assert left == []


# Who asks, and for what


def test_a_wrong_token_is_said_to_be_wrong_and_is_not_told(front: KVFront, caplog: pytest.LogCaptureFixture) -> None:
    """Reports are pasted into tickets."""
    caplog.set_level(logging.DEBUG)
    report = saver_of(front, token="hunter2").check()
    name, says = only(report)
    assert (name, "missing, wrong or expired" in says, "Workers KV Storage: Edit" in says) == ("token", True, True)
    assert "hunter2" not in f"{report} {report!r} {caplog.text}"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": READ_ONLY}, "may read, and may not write"),
        ({"token": NO_RIGHTS}, "may neither read nor write here"),
        ({"account": "0" * 32}, "or it is for another account"),
    ],
    ids=["reads only", "no rights", "another account"],
)
def test_what_a_token_may_not_do_is_named(front: KVFront, wrong: Any, said: str) -> None:
    """With the permission that it needs."""
    name, says = only(saver_of(front, **wrong).check())
    assert (name, said in says, "Workers KV Storage: Edit" in says) == ("permissions", True, True)
    assert fronts.names(front) == []


@pytest.mark.parametrize(
    ("call", "said"),
    [("GET keys", "may not list"), ("POST bulk/get", "may not read"), ("POST bulk/delete", "may not delete")],
)
def test_a_single_right_that_is_missing_is_named(front: KVFront, call: str, said: str) -> None:
    """A gateway of one's own may give fewer."""
    front.will(Fault(403, 10000, call=call))
    assert said in only(saver_of(front).check())[1]


def test_a_namespace_that_is_not_there_is_named(front: KVFront) -> None:
    """An id that was copied from somewhere else."""
    name, says = only(saver_of(front, namespace="other").check())
    assert (name, "no such namespace" in says) == ("namespace", True)


@pytest.mark.parametrize(("base", "said"), [(API, "wrangler kv namespace list"), ("https://kv.test", "DO_NAMESPACES")])
def test_where_to_look_for_a_namespace_is_told(base: str, said: str) -> None:
    """At Cloudflare, or in the settings of a gateway."""
    assert said in findings.refused(Refused("no such namespace", 404, [10013]), f"{base}/storage/kv/namespaces/n").says


@pytest.mark.parametrize(("code", "name"), [(10011, "namespace"), (7003, "address")])
def test_an_id_that_is_none_is_told_by_its_code(front: KVFront, code: int, name: str) -> None:
    """Two ids changed places: Cloudflare answers with other codes than for those that it does not know."""
    front.will(Fault(400, code))
    assert only(saver_of(front).check())[0] == name


def test_on_a_gateway_the_same_is_told(kv_simulator: KVSimulator) -> None:
    """By its own words."""
    place = kv_simulator.gateway_do()
    wrong = {
        "token": replace(place, api_token="wrong"),
        "permissions": replace(place, account_id="0" * 32),
        "namespace": replace(place, namespace_id="NO"),
        "address": replace(place, base_url=place.base_url.removesuffix("/do")),
    }
    told = {}
    for name, each in wrong.items():
        with CloudflareKVSaver.from_conn_string(each.url, api_token=each.api_token, deadline=fronts.BUSY) as saver:
            told[name] = only(saver.check())[0]
    assert told == {name: name for name in wrong}


# What answers


@pytest.mark.parametrize(
    "said",
    [
        httpx.Response(200, text="<html>welcome</html>"),
        httpx.Response(404, text="<html>not found</html>"),
        httpx.Response(403, text="<html>sign in</html>"),
        httpx.Response(302, headers={"location": "https://login.test"}),
        httpx.Response(200, json={"status": "ok"}),
        httpx.Response(200, json={"success": True, "result": "ok"}),
        httpx.Response(200, json=[]),
    ],
    ids=["a page", "no page", "a login", "a way to a login", "an API", "a similar API", "a list"],
)
def test_a_gateway_that_is_none_is_called_so(said: httpx.Response) -> None:
    """The address of a site is a typing mistake away; and a 404 of it says nothing of namespaces."""
    name, says = only(answering(said).check())
    assert name == "address"
    assert "kv.test does not speak Cloudflare's API" in says


def test_of_a_server_that_is_not_there_nothing_good_is_said() -> None:
    """One line: where nothing is, and what to do."""
    saver = CloudflareKVSaver(RestTransport("n", base_url="http://127.0.0.1:9"), deadline=0.1)
    report = saver.check()
    assert len(report.findings) == 1
    assert "127.0.0.1:9" in only(report)[1]
    with pytest.raises(StoreUnavailable):
        report.raise_if_unusable()


def test_a_store_that_gives_back_something_else_is_refused(front: KVFront) -> None:
    """A cache that answers for the gateway, say."""

    def respond(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("bulk/get"):
            return None
        keys = json.loads(request.content)["keys"]
        return httpx.Response(200, json={"success": True, "result": {"values": dict.fromkeys(keys, "other")}})

    saver = CloudflareKVSaver(fronts.answering(front, respond), clock=front.clock)
    assert only(saver.check())[0] == "address"


def test_a_write_that_is_not_done_is_told(front: KVFront) -> None:
    """A success may name keys that failed."""
    front.store.refuse("check/", times=100)
    name, says = only(saver_of(front).check())
    assert (name, "not written" in says) == ("server", True)


def test_a_deletion_that_is_not_done_is_told(front: KVFront) -> None:
    """The key expires, and threads would not."""

    def respond(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("bulk/delete"):
            return None
        result = {"successful_key_count": 0, "unsuccessful_keys": json.loads(request.content)}
        return httpx.Response(200, json={"success": True, "result": result})

    saver = CloudflareKVSaver(fronts.answering(front, respond), clock=front.clock)
    name, says = only(saver.check())
    assert (name, "not deleted" in says) == ("server", True)


@pytest.mark.parametrize(("lag", "level"), [(0.0, "ok"), (1.5, "error")])
def test_a_store_that_is_late_is_not_taken_for_a_consistent_one(lag: float, level: str) -> None:
    """`visibility=0` on plain KV forks threads in silence."""
    front = fronts.front(lag=lag)
    report = saver_of(front, visibility=0).check()
    assert found(report, "consistency").startswith(f"{level}: ")


def test_a_late_store_is_sound_where_it_is_not_said_to_be_consistent() -> None:
    """That is what KV is."""
    assert saver_of(fronts.front(lag=1.5, negative=5.0, hot=1.0, empty_pages=1)).check().ok


# The way there, the time, the limits


@pytest.mark.parametrize(
    ("base", "level"), [("https://kv.test", "ok"), ("http://localhost:8787/kv", "ok"), ("http://kv.test/kv", "warning")]
)
def test_a_connection_that_others_can_read_is_told(front: KVFront, base: str, level: str) -> None:
    """The token is in every request."""
    found_ = findings.transport(base)
    assert found_ is not None
    assert found_.level == level


@pytest.mark.parametrize(("ahead", "said"), [(7_200.0, "7200.0 s behind"), (-90.0, "s ahead of")])
def test_clocks_that_differ_are_told(front: KVFront, ahead: float, said: str) -> None:
    """One line, with what it leads to."""
    front.ahead = ahead
    report = saver_of(front).check()
    assert report.ok
    (warning,) = report.of("warning")
    assert (warning.name, said in warning.says, "may go back" in warning.says) == ("clock", True, True)


def test_a_server_that_does_not_say_the_time_is_told(front: KVFront) -> None:
    """Then nobody can compare."""
    front.ahead = None
    assert found(saver_of(front).check(), "clock").startswith("warning: The server does not say")


def test_what_is_left_of_a_quota_is_told() -> None:
    """Before a run finds out."""
    front = fronts.front(Quota(requests=1_200, window=100))
    first = found(saver_of(front).check(), "limits")
    front.quota.left = 104  # other processes have the same token
    assert first == "ok: 1196 requests of this token are left for the next 100 s."
    assert found(saver_of(front).check(), "limits").startswith("warning: Only 100 requests of this token are left")


def test_a_quota_that_is_nearly_used_up_is_not_used_for_looking() -> None:
    """What is left is spread over the time, and a check does not wait for so long."""
    front = fronts.front(Quota(requests=1_200))
    front.quota.take(front.clock.now())
    front.quota.left = 11
    name, says = only(saver_of(front).check())
    assert (name, "would take too long" in says) == ("limits", True)
    assert sum(front.clock.slept) <= 5


@pytest.mark.parametrize(
    ("fault", "said"),
    [(Fault(429, retry_after=240), "room again in 240 s"), (Fault(403, DAILY), "for today is used up")],
    ids=["blocked", "the day"],
)
def test_a_limit_that_is_reached_is_told_and_not_waited_for(front: KVFront, fault: Fault, said: str) -> None:
    """A check that takes five minutes is no check."""
    front.will(fault)
    report = saver_of(front).check()
    name, says = only(report)
    assert (name, said in says) == ("limits", True)
    assert sum(front.clock.slept) <= 5
    with pytest.raises(StoreRateLimited):
        report.raise_if_unusable()


def test_a_plan_whose_writes_are_used_up_is_told(front: KVFront) -> None:
    """Reads have a day of their own, so only a write shows it."""
    front.will(Fault(403, DAILY, call="PUT bulk"))
    assert "for today is used up" in only(saver_of(front).check())[1]


# What is raised


def test_a_report_of_errors_can_be_raised(front: KVFront) -> None:
    """With every error, as `RedisSaver`'s."""
    with pytest.raises(StoreRefused, match="Workers KV Storage: Edit"):
        saver_of(front, token=READ_ONLY).check().raise_if_unusable()


def test_setup_asks_for_one_page_and_no_more(front: KVFront) -> None:
    """It is called at every start; whoever wants to know more asks `check`."""
    saver_of(front, token=READ_ONLY).setup()
    assert front.calls == ["GET keys"]
