"""The REST API: who may ask, what is said of it, and that nobody's token or thread is in an error."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from langgraph_guard.checkpoint.cloudflare import CloudflareKVSaver, RestTransport, rest
from langgraph_guard.checkpoint.cloudflare.transport import Lost, Pair, Refused, Throttled
from langgraph_guard.errors import ConfigError, StoreRefused
from langgraph_guard.testing.contracts.saver.harness import about, at, uid
from tests.checkpoint.cloudflare import fronts
from tests.checkpoint.cloudflare.fronts import checkpoint
from tests.servers.kv import ACCOUNT
from tests.servers.kv_front import NAMESPACE, READ_ONLY, TOKEN, KVFront

URL = f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces/{NAMESPACE}"


@pytest.fixture
def front() -> KVFront:
    """It knows one account, one namespace and two tokens."""
    return fronts.front()


def saver_of(
    front: KVFront, *, account: str = ACCOUNT, namespace: str = NAMESPACE, token: str = TOKEN
) -> CloudflareKVSaver:
    """With an account, a namespace and a token of its own."""
    wire = front.transport
    transport = RestTransport(
        namespace, account_id=account, api_token=token, base_url="http://kv.test", blocking=wire, asynchronous=wire
    )
    return CloudflareKVSaver(transport, clock=front.clock)


def answer(status: int, code: int = 0, headers: dict[str, str] | None = None) -> httpx.Response:
    """As the API words a failure; the texts of its messages quote keys."""
    errors = [{"code": code, "message": "lgg1/=/t/patient-7/"}] if code else []
    told = {"success": status == 200, "errors": errors, "messages": [], "result": None}
    return httpx.Response(status, json=told, headers=headers or {})


# Who asks


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "another"}, "token is missing, wrong or expired"),
        ({"account": "0" * 32}, "Workers KV Storage Edit"),
        ({"namespace": "other"}, "no such account or namespace"),
    ],
    ids=["token", "account", "namespace"],
)
def test_a_wrong_token_account_or_namespace_is_told_as_such(front: KVFront, wrong: Any, said: str) -> None:
    """By `setup`, and by any first use; waiting would not help."""
    saver = saver_of(front, **wrong)
    for call in (saver.setup, lambda: saver.get_tuple(at()), lambda: saver.put(at(), checkpoint(uid(1)), about(1), {})):
        with pytest.raises(StoreRefused, match=said):
            call()
    assert front.clock.slept == []
    assert fronts.names(front) == []


def test_a_token_that_may_only_read_reads(front: KVFront) -> None:
    """And is told what it lacks when it writes."""
    fronts.saver(front).put(at(), checkpoint(uid(1)), about(1), {})
    reader = saver_of(front, token=READ_ONLY)
    assert reader.get_tuple(at()) is not None
    with pytest.raises(StoreRefused, match="Workers KV Storage Edit"):
        reader.put(at(), checkpoint(uid(2)), about(2), {})


async def test_setup_asks_on_event_loops_too(front: KVFront) -> None:
    """It is the same saver."""
    await saver_of(front).asetup()
    with pytest.raises(StoreRefused, match="token"):
        await saver_of(front, token="another").asetup()


def test_secrets_and_threads_are_not_in_errors(front: KVFront) -> None:
    """Errors go into logs, and logs go anywhere."""
    saver = saver_of(front, token="very-secret")
    with pytest.raises(StoreRefused) as caught:
        saver.get_tuple(at("patient-7"))
    told = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {saver_of(front, token='very-secret')!r}"
    assert "very-secret" not in told
    assert "patient-7" not in told


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f"{URL}/",
        f"http://localhost:8787/kv/accounts/{ACCOUNT}/storage/kv/namespaces/{NAMESPACE}",
        "http://127.0.0.1:8787/cdn-cgi/local/explorer/api/storage/kv/namespaces/any",
    ],
)
def test_a_namespaces_url_is_a_connection_string(url: str) -> None:
    """Cloudflare's, a gateway's, the simulator's."""
    assert RestTransport.of_url(url, api_token="t").address.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.cloudflare.com",
        "redis://localhost",
        URL.replace("https", "ftp"),
        URL.replace("https://", "https://user:password@"),
        URL.replace(NAMESPACE, "../other"),
        f"{URL}/values/x",
        f"{URL}?a=b",
        f"{URL}%2F",
        None,
    ],
)
def test_another_url_is_refused(url: Any) -> None:
    """Without being quoted: it may hold a password."""
    with pytest.raises(ConfigError) as caught:
        RestTransport.of_url(url)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("namespace_id", {"namespace_id": "a/../b"}),
        ("namespace_id", {"namespace_id": ""}),
        ("account_id", {"account_id": "a b"}),
        ("api_token", {"api_token": ""}),
        ("api_token", {"api_token": "a\nb"}),
        ("base_url", {"base_url": "kv.test"}),
        ("base_url", {"base_url": "https://kv.test?x"}),
        ("base_url", {"base_url": "https://[::1"}),
        ("base_url", {"base_url": "https://kv.test:port"}),
        ("base_url", {"base_url": "https://xn--ls8h-.\ud800"}),
    ],
)
def test_a_part_of_an_address_that_is_wrong_is_named(field: str, terms: dict[str, Any]) -> None:
    """When the saver is made."""
    with pytest.raises(ConfigError, match=field):
        RestTransport(**{"namespace_id": "n", **terms})


def test_an_account_without_a_token_is_refused() -> None:
    """An environment variable that is not set."""
    with pytest.raises(ConfigError, match="api_token"):
        CloudflareKVSaver.from_account("account", "namespace", None)  # type: ignore[arg-type]


# What answers mean


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(400, 10001), Refused),
        (answer(401, 10000), Refused),
        (answer(404, 10013), Refused),
        (answer(413), Refused),
        (answer(200), Refused),
        (answer(408), Lost),
        (answer(500), Lost),
        (answer(524), Lost),
        (httpx.Response(200, text="<html>"), Lost),
        (httpx.Response(502, text="<html>"), Lost),
        (answer(429, 971), Throttled),
        (answer(403, 10048), Throttled),
    ],
    ids=lambda each: str(each.status_code) if isinstance(each, httpx.Response) else each.__name__,
)
def test_an_answer_is_a_refusal_a_wait_or_nothing(response: httpx.Response, error: type[Exception]) -> None:
    """What is sent again, and what is not; keys in the server's text are not passed on."""
    if response.status_code == 200 and response.text.startswith("{"):
        response = httpx.Response(200, json={"success": False, "errors": [{"code": 1}], "result": None})
    with pytest.raises(error) as caught:
        rest.page(response)
    assert "patient-7" not in str(caught.value)


@pytest.mark.parametrize(("told", "seconds"), [("30", 30.0), ("0.5", 0.5), ("", None), ("soon", None), ("-1", None)])
def test_a_retry_after_is_read_if_it_is_a_time(told: str, seconds: float | None) -> None:
    """Anything else is as good as none."""
    with pytest.raises(Throttled) as caught:
        rest.undone(answer(429, headers={"retry-after": told}))
    assert caught.value.retry_after == seconds


def test_a_value_that_is_not_there_is_none_and_a_namespace_that_is_not_is_an_error() -> None:
    """Both are a 404."""
    assert rest.value(answer(404, 10009)) is None
    with pytest.raises(Refused):
        rest.value(answer(404, 10013))


def test_values_are_found_however_they_are_told() -> None:
    """The simulator tells text where it is asked for text with metadata, and the other way round."""
    told = {"success": True, "result": {"values": {"a": "1", "b": {"value": "2", "metadata": {}}, "c": None}}}
    assert rest.values(httpx.Response(200, json=told), ["a", "b", "c", "d"]) == {
        "a": "1",
        "b": "2",
        "c": None,
        "d": None,
    }


def test_keys_are_percent_encoded_whole() -> None:
    """A slash in a path would be another path."""
    assert rest.get_one("a/b=~é").path == "/values/a%2Fb%3D~%C3%A9"


# Connections


def test_a_saver_is_used_by_two_event_loops_and_by_threads(front: KVFront) -> None:
    """Connections belong to the loop that opened them."""
    saver = fronts.saver(front)
    for number in (1, 2):
        asyncio.run(saver.aput(at(), checkpoint(uid(number)), about(number), {}))
    saver.put(at(), checkpoint(uid(3)), about(3), {})
    assert len([*saver.list(at())]) == 3


async def test_a_saver_is_a_context_manager_and_can_be_used_again(front: KVFront) -> None:
    """What it closed it opens anew."""
    with front.served() as place:
        async with CloudflareKVSaver.from_conn_string(
            place.url, api_token=place.api_token, deadline=fronts.BUSY
        ) as saver:
            await saver.aput(at(), checkpoint(uid(1)), about(1), {})
        with saver:
            assert saver.get_tuple(at()) is not None
        assert await saver.aget_tuple(at()) is not None
        await saver.aclose()


def test_a_transport_that_was_passed_is_not_closed(front: KVFront) -> None:
    """Others may use it."""
    transport = fronts.transport(front)
    transport.list_keys("", 10, "")
    with CloudflareKVSaver(transport):
        pass
    assert transport._client is not None
    assert not transport._client.is_closed


def test_the_address_does_not_show_its_token() -> None:
    """Objects are printed in tracebacks."""
    assert "very-secret" not in repr(RestTransport("n", api_token="very-secret").address)


def test_the_five_calls_go_through_a_socket(front: KVFront) -> None:
    """Blocking and on an event loop, as they go without one."""
    with front.served() as place:
        transport = RestTransport.of_url(place.url, api_token=place.api_token)
        assert transport.put_many([Pair("k", "v", {"m": 1}, 60)]) == []
        assert transport.get_many(["k", "l"]) == {"k": "v", "l": None}
        (listed,) = transport.list_keys("k", 10, "").keys
        assert (listed.name, listed.metadata) == ("k", {"m": 1})
        assert asyncio.run(transport.aio.get_one("k")) == "v"
        assert asyncio.run(transport.aio.delete_many(["k"])) == []
        assert transport.get_one("k") is None
        transport.close()


def test_a_server_that_is_not_there_is_lost() -> None:
    """The text of the driver's error is not passed on."""
    transport = RestTransport("n", base_url="http://127.0.0.1:9")
    with pytest.raises(Lost, match="ConnectError"):
        transport.list_keys("", 10, "")
