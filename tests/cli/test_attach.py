"""``spectui attach``: what it takes, what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from spectui.cli.attach import API_KEY, NONE_HERE, api_key, check_endpoints, endpoints_of
from spectui.cli.attached_lines import Headless, _gap_line
from spectui.cli.exported import Exported
from spectui.cli.main import build_parser
from spectui.cli.serving_lines import serving_line
from spectui.errors import RunError, UsageError
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.runtime.exporter import Exporter
from spectui.sources.attached.source import Attached
from spectui.sources.attached.tuning import TuneRules
from spectui.trace.reader import Trace
from spectui.wire.endpoints import parse
from spectui.wire.keys import make
from tests.sources.attached.test_source import Served
from tests.sources.attached.test_tuning_over_the_wire import BEST, Uneven
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.terminal import PtySession
from tests.test_rooms import HEAVY

ROOT = Path(__file__).parents[2]


def options(*words: str) -> Namespace:
    return build_parser("attach").parse_args(["attach", *words])


@contextmanager
def stepping(served: Served) -> Iterator[Served]:
    """Let the server's engine step until the block is left."""
    over = threading.Event()

    def engine() -> None:
        while not over.wait(0.002):
            served.step(2)

    thread = threading.Thread(target=engine)
    thread.start()
    try:
        yield served
    finally:
        over.set()
        thread.join()
        served.publisher.stop()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with stepping(Served(f"ipc://{tmp_path}/s.sock")) as server:
        yield server


def watched(*endpoints: str, **how: object) -> tuple[str, list[str], Headless]:
    """Run headless; gives why it failed, its lines, and the run."""
    out = io.StringIO()
    run = Headless(Attached([parse(one) for one in endpoints]), out, **{"seconds": 1.5, **how})  # type: ignore[arg-type]
    fault = run.run()
    return fault, out.getvalue().splitlines(), run


def test_lines_name_states_requests_and_sums_and_end_in_a_table(served: Served) -> None:
    fault, lines, run = watched(served.publisher.endpoint)
    assert fault == ""
    assert lines[0].split()[:2] == ["e1", "connecting"]
    assert any(line.startswith("e1 ") and "made-up at ipc://" in line and "mtp K=" in line for line in lines)
    ended = [line for line in lines if "ended (length)" in line]
    assert ended
    assert " K 4, length " in ended[-1]
    assert " tok/s" in ended[-1]
    sums = [line for line in lines if " in flight, " in line]
    assert sums
    assert re.match(r"\d+ s ", sums[0])
    head = next(place for place, line in enumerate(lines) if "endpoint" in line and "by position" in line)
    row = lines[head + 1].split()
    lane = run.state.lanes["e1"]
    assert row[:4] == ["e1", "s", "live", "4"]
    assert row[4] == f"{lane.run.totals.emitted:,}"


def test_the_summary_as_json_has_what_only_servers_have(served: Served) -> None:
    fault, lines, run = watched(served.publisher.endpoint, as_json=True)
    assert fault == ""
    (line,) = ["".join(lines)]
    document = json.loads(line)
    (lane,), (endpoint,) = document["lanes"], document["endpoints"]
    totals = run.state.lanes["e1"].run.totals
    assert lane["lane"] == endpoint["lane"] == "e1"
    assert lane["tokens"] == endpoint["tokens"] == totals.emitted
    assert lane["drafted"] == totals.drafted
    assert endpoint["address"] == served.publisher.endpoint
    assert (endpoint["kind"], endpoint["state"], endpoint["gaps"], endpoint["malformed"]) == ("tap", "live", 0, 0)
    assert endpoint["drafted_at"][0] == totals.drafts
    assert endpoint["since_start"]["totals"]["steps"] > 0
    assert "tuning" not in document
    assert document["sampling"] is None


def test_a_gap_says_what_is_known_of_it() -> None:
    reached = (ev.Reached("e1", 9, ev.NOTHING),)
    assert _gap_line(ev.Gap(3, reached=reached), 3) == f"{'e1':<12} 3 steps not seen: they count in the totals"
    ended = "how the server's last session ended was not seen"
    assert _gap_line(ev.Gap(1, reached=reached), 0) == f"{'e1':<12} {ended}"
    assert _gap_line(ev.Gap(4, reached=reached), 3).endswith(f"3 steps not seen: they count in the totals; {ended}")


def test_a_method_that_is_not_known_is_said_to_be_so() -> None:
    info = ev.LaneInfo("e1", "unknown", "h:1", 3, "")
    line = serving_line(ev.ServerSeen("e1", info, "vllm", "http://h:1", model="m", drafts=False)) or ""
    assert line.endswith("m at http://h:1, method unknown K=3: drafts are not visible")


def test_a_server_that_was_never_heard_is_a_failure_and_one_of_two_is_not(served: Served, tmp_path: Path) -> None:
    nowhere = f"ipc://{tmp_path}/nowhere.sock"
    fault, lines, _ = watched(nowhere, seconds=0.3)
    assert fault.startswith("nothing was heard from ipc://")
    assert not [line for line in lines if " in flight, " in line]
    fault, lines, _ = watched(served.publisher.endpoint, nowhere)
    assert fault == ""
    assert any("1 of 2 servers, " in line for line in lines)


def test_the_fastest_k_is_searched_for_headless(tmp_path: Path) -> None:
    with stepping(Uneven(tmp_path)) as server:
        fault, lines, run = watched(server.publisher.endpoint, seconds=60, tune_s=60)
        server.until(lambda: server.server.k == BEST)
    assert fault == ""
    assert any("search for K: turn 1, still in the running" in line for line in lines)
    assert any(line.startswith(f"  * {BEST:>2}  ") for line in lines)
    assert any(line.startswith(f"best K = {BEST}") for line in lines)
    assert lines[-1].startswith("vllm serve /models/made-up --speculative-config")
    assert run.state.tuning is not None


def test_a_search_that_has_no_time_or_no_leave_fails_with_a_sentence(served: Served, tmp_path: Path) -> None:
    fault, _, _ = watched(served.publisher.endpoint, tune_s=60)
    assert fault == "K cannot be searched for: the server was started without SPECTUI_CONTROL=1"
    (tmp_path / "b").mkdir()
    server = Uneven(tmp_path / "b")
    # Its engine does not step: no traffic.
    fault, lines, _ = watched(server.publisher.endpoint, seconds=4, tune_s=60, as_json=True)
    assert fault == "the search was stopped: K is 4 again, as before the search"
    document = json.loads("".join(lines))
    assert document["tuning"]["fault"] == fault
    server.publisher.stop()


def test_the_former_k_is_there_again_when_a_search_is_broken_off(tmp_path: Path) -> None:
    out = io.StringIO()
    with stepping(Uneven(tmp_path)) as server:
        source = Attached([parse(server.publisher.endpoint)], rules=TuneRules(guard_ms=5))
        fault = Headless(source, out, tune_s=60, as_json=True).run()
    assert "K is 4 again" in fault
    assert json.loads(out.getvalue())["endpoints"][0]["k"] == 4


def test_prometheus_is_told_what_is_seen(served: Served) -> None:
    exporter = Exporter(0)
    exporter.start()
    source, sink = Exported(Attached([parse(served.publisher.endpoint)]), exporter), Collector()
    source.start(sink)
    sink.wait_for_kind(ev.Serving, 2)
    with urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as answer:
        page = answer.read().decode()
    assert 'spectui_endpoint_up{endpoint="' in page
    assert "vllm:spec_decode_num_drafts_total" in page
    assert len(source) == 0
    assert cmd.Tune in source.accepts
    assert source.stop(FAILSAFE_S)


def test_wrong_usage_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_SOCKET_DIR", str(tmp_path / "none"))
    with pytest.raises(RunError) as none:
        endpoints_of([])
    assert str(none.value) == NONE_HERE
    assert "vllm serve MODEL --scheduler-cls spectui.serving.TracingScheduler" in NONE_HERE
    for twice in (["localhost:5557", "tcp://localhost:5557"], ["http://localhost:80/v1", "http://localhost/metrics"]):
        with pytest.raises(UsageError, match="named twice"):
            endpoints_of(twice)
    with pytest.raises(UsageError, match="is no endpoint"):
        endpoints_of(["ftp://x:1"])
    far, near, http = parse("tcp://192.0.2.1:5557"), parse("127.0.0.1:5557"), parse("http://localhost:8000")
    with pytest.raises(UsageError, match=r"192\.0\.2\.1:5557 is another machine"):
        check_endpoints([near, far], options())
    check_endpoints([near, far, http], options("--insecure"))
    with pytest.raises(UsageError, match=r"--keys: .* cannot be read"):
        check_endpoints([far], options("--keys", str(tmp_path / "keys")))
    make(tmp_path / "keys", "viewer")
    check_endpoints([far], options("--keys", str(tmp_path / "keys")))
    with pytest.raises(UsageError, match="one server, not 2"):
        check_endpoints([near, http], options("--tune"))
    with pytest.raises(UsageError, match="has only counters"):
        check_endpoints([http], options("--tune"))


def test_a_key_for_somebody_else_is_sent_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "secret")
    monkeypatch.setenv("OTHER", "other")
    monkeypatch.delenv("NONE", raising=False)
    assert api_key(options("http://localhost:8000")) is None
    assert api_key(options("--api", "http://localhost:8000")) == "secret"
    assert api_key(options("--api-key-env", "OTHER")) == "other"
    with pytest.raises(UsageError, match="NONE: that variable is not set"):
        api_key(options("--api-key-env", "NONE"))


def test_it_opens_in_a_terminal_without_an_engine_and_records(served: Served, tmp_path: Path) -> None:
    for name in HEAVY:
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ImportError('not installed here')")
    env = {"PYTHONPATH": f"{tmp_path / 'without'}:{ROOT}", "SPECTUI_LOG_DIR": str(tmp_path / "logs")}
    trace = tmp_path / "run.jsonl"
    argv = [sys.executable, "-m", "spectui", "attach", served.publisher.endpoint, "--record", str(trace)]
    with PtySession(argv, cols=120, rows=36, env=env) as session:
        session.wait_for("made-up")
        session.wait_for("request-")
        session.send("q")
        assert session.wait_exit() == 0
        assert session.modes_restored()
    kinds = {type(event).__name__ for _, event in Trace.open(trace)}
    assert {"RunStarted", "ServerSeen", "Serving", "RequestStarted", "Step"} <= kinds
