"""Looking at servers over real connections: which server it is, and what hostile ones cannot do."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from spectui.errors import UsageError
from spectui.protocol.events import Event
from spectui.protocol.run import LaneInfo
from spectui.protocol.serving import CounterSample, ServerSeen, ServerState
from spectui.sources.counters import fetching
from spectui.sources.counters.address import address_of
from spectui.sources.counters.fetching import Fetcher
from spectui.sources.counters.reader import Poll
from spectui.sources.counters.watching import SENSELESS, Watch
from tests.sources.counters import answers
from tests.support.http_servers import Asked, Respond, free_port, reply, reply_json, serving


def pages(**found: Iterable[bytes]) -> Respond:
    """A server with these pages; ``_`` stands for ``/``."""
    by_path = {
        "/" + name.replace("_", "/", 1) if name.startswith("v1") else "/" + name: page for name, page in found.items()
    }
    return lambda asked: by_path.get(asked.path, reply("nothing here", 404))


VLLM = {
    "metrics": reply(answers.VLLM + answers.VLLM_DRAFTS),
    "v1_models": reply_json(answers.models("demo", "vllm")),
    "version": reply_json({"version": "0.32.0"}),
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Looking:
    """A server that is looked at."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        address = address_of(url)
        self.clock = Clock()
        self.poll = Poll(
            Watch(LaneInfo("e1", "mtp", "box", 0, url), address.shown), Fetcher(address, api_key), self.clock
        )

    def once(self) -> list[Event]:
        """What one look a second later gives."""
        self.clock.now += 1.0
        return list(self.poll.once())


@contextmanager
def looking(respond: Respond, api_key: str | None = None) -> Iterator[Looking]:
    with serving(respond) as url:
        one = Looking(url, api_key)
        yield one
        one.poll.close()


def seen(events: Iterable[Event]) -> ServerSeen:
    return next(event for event in events if isinstance(event, ServerSeen))


def states(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.stage, event.why) for event in events if isinstance(event, ServerState)]


def test_vllm() -> None:
    with looking(pages(**VLLM)) as one:
        events = one.once()
        assert states(events) == [("live", "")]
        found = seen(events)
        assert (found.kind, found.version, found.model, found.info.k_max, found.asks) == (
            "vllm",
            "0.32.0",
            "demo",
            3,
            True,
        )
        assert [type(event) for event in one.once()] == [CounterSample]


def test_vllm_without_statistics_is_told_how_to_get_them() -> None:
    with looking(pages(**{**VLLM, "metrics": reply("python_info 1\n")})) as one:
        assert states(one.once()) == [("refused", "the server gives no figures: start it without --disable-log-stats")]


def test_sglang() -> None:
    found = pages(
        metrics=reply(answers.SGLANG),
        v1_models=reply_json(answers.models("demo", "sglang")),
        get_server_info=reply_json(answers.SGLANG_INFO),
    )
    with looking(found) as one:
        events = one.once()
        found_it = seen(events)
        assert (found_it.kind, found_it.version, found_it.info.method, found_it.info.k_max) == (
            "sglang",
            "0.5.23",
            "eagle",
            5,
        )
        assert "counters only" in found_it.why
        assert answers.SGLANG_INFO["api_key"] not in repr(events)


def test_sglang_without_metrics_is_told_how_to_get_them() -> None:
    with looking(pages(v1_models=reply_json(answers.models("demo", "sglang")))) as one:
        events = one.once()
        assert states(events) == [("refused", "the server gives no figures: start it with --enable-metrics")]
        assert seen(events).asks


def test_llama_cpp() -> None:
    found = pages(
        metrics=reply(answers.LLAMA + answers.LLAMA_DRAFTS),
        v1_models=reply_json(answers.models("demo.gguf", "llamacpp")),
        props=reply_json(answers.LLAMA_PROPS),
        slots=reply_json(answers.LLAMA_SLOTS),
    )
    with looking(found) as one:
        it = seen(one.once())
        assert (it.kind, it.version, it.model, it.info.k_max) == ("llama.cpp", "b7000-abcdef", "demo.gguf", 8)


def test_llama_cpp_without_metrics_tells_how_busy_it_is() -> None:
    found = pages(
        metrics=reply_json(answers.NO_LLAMA_METRICS, 501),
        v1_models=reply_json(answers.models("demo.gguf", "llamacpp")),
        slots=reply_json(answers.LLAMA_SLOTS),
    )
    with looking(found) as one:
        events = one.once()
        assert states(events) == [("live", "")]
        assert events[-1] == CounterSample("e1", 0, running=1)
        assert "start it with --metrics" in seen(events).why


def test_llama_cpp_without_metrics_and_slots_is_told_how_to_get_them() -> None:
    found = pages(metrics=reply("", 404), v1_models=reply_json(answers.models("demo.gguf", "llamacpp")))
    with looking(found) as one:
        assert states(one.once()) == [("refused", "the server gives no figures: start it with --metrics")]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (reply("", 401), "the server wants an API key (401): name the variable that holds it with --api-key-env"),
        (reply("", 403), "the server wants an API key (403): name the variable that holds it with --api-key-env"),
        (reply("", 404), "its /metrics are not those of vLLM, SGLang or llama-server"),
        (reply("go_gc 1\n"), "its /metrics are not those of vLLM, SGLang or llama-server"),
        (reply("", 418), "the server answers /metrics with status 418: see its log"),
        (
            reply("", 302, location="http://evil.test/\x1b[31mred"),
            "the server redirects to http://evil.test/ [31mred: attach to that, if you trust it",
        ),
        (reply("<html>", kind="text/html"), SENSELESS),
        (reply(b"\xff\x00\xfe"), SENSELESS),
        (reply(gzip.compress(bytes(1 << 20)), content_encoding="gzip"), SENSELESS),
        ([b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b""], SENSELESS),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", b""], SENSELESS),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n", b""], SENSELESS),
        ([b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000 + b"\r\n", b""], SENSELESS),
        ([b"HTTP/1.1 200 OK\r\n\r\n", *([b"x" * (1 << 20)] * 5), b""], SENSELESS),
    ],
)
def test_what_cannot_be_watched_is_said_in_a_sentence(page: Iterable[bytes], why: str) -> None:
    with looking(pages(metrics=page)) as one:
        assert states(one.once()) == [("refused", why)]
        assert states(one.once()) == []


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (reply("", 500), "it is not ready, or failed (500)"),
        (reply_json({"error": {"message": "Loading model"}}, 503), "it is not ready, or failed (503)"),
        ([b""], "it closed the connection"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nvllm:", b""], "it closed the connection"),
    ],
)
def test_a_server_that_is_not_ready_is_waited_for(page: Iterable[bytes], why: str) -> None:
    with looking(pages(metrics=page)) as one:
        ((stage, said),) = states(one.once())
        assert (stage, said.rpartition(": ")[2]) == ("connecting", why)


def test_nothing_listens() -> None:
    one = Looking(f"http://127.0.0.1:{free_port()}")
    ((stage, why),) = states(one.once())
    assert (stage, why.rpartition(": ")[2]) == ("connecting", "nothing listens there")


def test_tls_that_is_none() -> None:
    with serving(pages(**VLLM)) as url:
        one = Looking(url.replace("http:", "https:"))
        ((_, why),) = states(one.once())
        assert why.endswith("it does not speak TLS: try http:// in place of https://")


def drip(part: bytes) -> Iterator[bytes]:
    """A byte now and then, without an end."""
    pause = threading.Event()
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        pause.wait(0.02)
        yield part


@pytest.mark.parametrize("part", [b"a: b\r\n", b"\r\n#"])
def test_a_server_that_drips_is_cut_off(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ANSWER_S", 0.2)

    def respond(asked: Asked) -> Iterable[bytes]:
        return drip(part)

    with looking(respond) as one:
        ((_, why),) = states(one.once())
        assert why.endswith("no answer in time")


def test_a_wait_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ANSWER_S", 300.0)

    def respond(asked: Asked) -> Iterable[bytes]:
        one.poll.cancel()
        return drip(b"a: b\r\n")

    with looking(respond) as one:
        assert states(one.once())[0][1].endswith("no answer in time")


def test_a_server_that_was_live_survives_one_bad_answer() -> None:
    page = VLLM["metrics"]
    with looking(lambda asked: page if asked.path == "/metrics" else pages(**VLLM)(asked)) as one:
        good = one.once()[-1]
        assert isinstance(good, CounterSample)
        page = reply("<html>", kind="text/html")
        ((bad),) = one.once()
        assert isinstance(bad, CounterSample)
        assert (bad.emitted, bad.at_ns, bad.malformed) == (good.emitted, good.at_ns, 1)
        page = reply("go_gc 1\n")
        ((bad),) = one.once()
        assert isinstance(bad, CounterSample)
        assert bad.malformed == 2


def test_a_server_that_is_replaced_by_another_is_asked_again() -> None:
    found: dict[str, Iterable[bytes]] = dict(VLLM)
    with looking(lambda asked: pages(**found)(asked)) as one:
        assert seen(one.once()).model == "demo"
        found["metrics"] = reply((answers.VLLM + answers.VLLM_DRAFTS).replace("1.79e+09\n", "1.8e+09\n"))
        found["v1_models"] = reply_json(answers.models("other", "vllm"))
        assert seen(one.once()).model == "other"


@pytest.mark.parametrize("garbage", [reply("{", kind="application/json"), reply("", 500), reply_json([1, {"data": 3}])])
def test_pages_beside_the_counters_may_be_garbage(garbage: Iterable[bytes]) -> None:
    with looking(pages(**{**VLLM, "v1_models": garbage, "version": garbage})) as one:
        found = seen(one.once())
        assert (found.kind, found.model, found.version, found.asks) == ("vllm", "demo", "", False)


@pytest.mark.parametrize(
    ("key", "login", "header"),
    [("s3cret", "", "Bearer s3cret"), (None, "me:it%3Ais@", "Basic bWU6aXQ6aXM="), (None, "", None)],
)
def test_keys_are_sent_and_never_shown(key: str | None, login: str, header: str | None) -> None:
    got: list[str | None] = []

    def respond(asked: Asked) -> Iterable[bytes]:
        got.append(asked.headers.get("authorization"))
        return pages(**VLLM)(asked)

    with serving(respond) as url:
        one = Looking(url.replace("//", f"//{login}"), key)
        assert seen(one.once()).address == url
    assert set(got) == {header}


def test_no_cookies_are_kept() -> None:
    got: list[str | None] = []

    def respond(asked: Asked) -> Iterable[bytes]:
        got.append(asked.headers.get("cookie"))
        return reply(answers.VLLM, set_cookie="a=b")

    with looking(respond) as one:
        one.once()
        one.once()
    assert set(got) == {None}


@pytest.mark.parametrize(
    ("typed", "root"),
    [
        ("http://box:8000", "http://box:8000"),
        ("http://box:8000/", "http://box:8000"),
        (" http://box:8000/metrics ", "http://box:8000"),
        ("https://box/prefix/v1/", "https://box/prefix"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_addresses(typed: str, root: str) -> None:
    assert address_of(typed).root == address_of(typed).shown == root


@pytest.mark.parametrize(
    "typed", ["", "box:8000", "ftp://box", "http://", "http://box:port", "http://box:99999", "http://[::1"]
)
def test_addresses_that_are_none(typed: str) -> None:
    with pytest.raises(UsageError, match="http://HOST:8000"):
        address_of(typed)
