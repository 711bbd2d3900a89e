"""What `spectui doctor --lanes` finds: in lanes that are as they should be, and where a fault is planted in one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from spectui.cli.main import main
from spectui.core.losslessness import Divergence
from spectui.doctor import lanes as found
from spectui.doctor import lanes_command, lanes_measure
from spectui.doctor.lanes import Finding, Pass, StepTime, Text, document, table
from spectui.doctor.lanes_measure import Measuring
from spectui.errors import FAILED, WRONG_USAGE, RunError
from spectui.protocol.events import Event, LaneEngine, Prompt, RequestFinished, Step
from spectui.sources.vllm.config import HostConfig, Room
from spectui.sources.vllm.lane_request import EngineCounts
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from tests.support.fake_lanes import FakeLane, fake_engine

MS = 1_000_000


class Clock:
    """The wall clock that lanes and the doctor share."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class TimedLane(FakeLane):
    """Verifies for 20 ms and drafts for 2 ms a token, accepts every other draft, and counts up from 0.

    Attributes:
        counts_drafter: Whether its clock includes drafting.
        in_race: How much longer its steps take if another lane stepped before.
        disturbed: Whether its steps were disturbed.
        says: Its token at a place, in a step of that K.
        accepts: How many of K drafts are accepted.
    """

    last: TimedLane | None = None

    def __init__(self, spec: str, clock: Clock) -> None:
        parsed = parse_lane_spec(spec)
        super().__init__(lane_infos([parsed])[0], parsed, "fake", {})
        self.clock = clock
        self.counts_drafter = True
        self.in_race = 1.0
        self.disturbed = False
        self.says: Callable[[int, int], int] = lambda place, k: place
        self.accepts: Callable[[int], int] = lambda k: k // 2

    def step(self) -> list[Event]:
        k = self.k if self.info.k_max else 0
        slower = self.in_race if TimedLane.last not in (None, self) else 1.0
        TimedLane.last = self
        verify_ns, draft_ns = round(20 * MS * slower), round(2 * MS * k * slower)
        self.clock.now_ns += verify_ns + draft_ns + MS // 10
        wall_ns = verify_ns + (draft_ns if self.counts_drafter else 0)
        self.clock_ns += wall_ns
        self.own_ns += MS // 10 + (0 if self.counts_drafter else draft_ns)
        (request,) = self._requests.values()
        drafts = k if request.steps else 0
        kept = self.accepts(drafts)
        room = self._sampling.max_tokens - len(request.ids)
        ids = tuple(self.says(len(request.ids) + i, k) for i in range(kept + 1))
        emitted, cut = ids[:room], ids[room:]
        request.ids.extend(emitted)
        self.totals = self.totals.after(drafts, kept, len(emitted), len(cut))
        events: list[Event] = [
            Step(
                self.info.name, request.request, 0, request.steps, k, (0,) * drafts, kept, emitted, cut,
                None if cut else "recovered", None, ("x",) * len(ids), ("x",) * drafts, 1, wall_ns, self.clock_ns,
                draft_ns, verify_ns, self.disturbed, self.totals,
            )
        ]  # fmt: skip
        request.steps += 1
        if len(request.ids) == self._sampling.max_tokens:
            self._requests.clear()
            events.append(RequestFinished(self.info.name, request.request, 0, "length", len(request.ids)))
        return events


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake_engine(monkeypatch, {})
    monkeypatch.setattr(TimedLane, "last", None)
    return Clock()


def totals(lane: Any) -> tuple[int, int, int]:
    return lane.totals.drafts, lane.totals.drafted, lane.totals.accepted


def examined(clock: Clock, *lanes: TimedLane, **options: Any) -> dict[tuple[str, str], Finding]:
    measuring = Measuring(
        lanes, [1, 2], **{"now_ns": clock, "totals": totals, "finishing": lambda lane: None, **options}
    )
    return {(one.lane, one.what): one for one in measuring.found()}


def wrong(findings: dict[tuple[str, str], Finding]) -> set[tuple[str, str]]:
    return {place for place, finding in findings.items() if finding.verdict != "holds"}


def test_what_should_hold_holds(clock: Clock) -> None:
    findings = examined(clock, TimedLane("ar", clock), TimedLane("mtp:k=4", clock))
    assert wrong(findings) == set()
    assert {place: finding.value for place, finding in findings.items()} == {
        ("AR", "computes like AR"): "V1 eager, synchronous",
        ("AR", "greedy text is its own again"): "40 tokens at K = 0",
        ("AR", "time in the race / alone"): "1.000 (1.00 to 1.00)",
        ("AR", "lane clock / wall time"): "0.995 (our own code 0.5 %)",
        ("MTP", "computes like AR"): "V1 eager, synchronous",
        ("MTP", "greedy text is AR's"): "40 tokens at K = 0 to 4 and changing",
        ("MTP", "drafts are accepted"): "66 of 191",
        ("MTP", "time in the race / alone"): "1.000 (1.00 to 1.00)",
        ("MTP", "lane clock / wall time"): "0.996 (our own code 0.4 %)",
        ("MTP", "draft + verify in a step"): "1.000 (draft 29 %, verify 71 %)",
        ("MTP", "tap counts as vLLM"): "10 requests; 110 drafts, 440 drafted, 220 accepted",
        ("", "sum of lane clocks / wall time"): "0.996 (our own code 0.4 %)",
    }


def test_a_clock_that_leaves_out_the_drafter_is_found(clock: Clock) -> None:
    lane = TimedLane("mtp:k=4", clock)
    lane.counts_drafter = False
    findings = examined(clock, TimedLane("ar", clock), lane)
    assert wrong(findings) == {
        ("MTP", "lane clock / wall time"),
        ("MTP", "draft + verify in a step"),
        ("", "sum of lane clocks / wall time"),
    }
    assert findings["MTP", "draft + verify in a step"].value == "1.400 (draft 40 %, verify 100 %)"


def test_a_lane_that_pays_for_another_is_found(clock: Clock) -> None:
    ar = TimedLane("ar", clock)
    ar.in_race = 1.15
    findings = examined(clock, ar, TimedLane("mtp:k=4", clock))
    assert wrong(findings) == {("AR", "time in the race / alone")}


def test_other_ids_are_found(clock: Clock) -> None:
    lane = TimedLane("mtp:k=4", clock)
    lane.says = lambda place, k: 99 if k in (2, 3) and place > 4 else place
    findings = examined(clock, TimedLane("ar", clock), lane)
    assert wrong(findings) == {("MTP", "greedy text is AR's")}
    assert findings["MTP", "greedy text is AR's"].note == "K = 2: token 6, margin 0.50; K = 3: token 6, margin 0.50"


def test_an_engine_that_dies_at_some_k_is_found_and_timed_at_the_others(clock: Clock) -> None:
    def says(place: int, k: int) -> int:
        if k == 1:
            raise RuntimeError("The size of a tensor must match")
        return place

    lane = TimedLane("mtp:k=2,start=1", clock)
    lane.says = says
    findings = examined(clock, TimedLane("ar", clock), lane)
    assert wrong(findings) == {("MTP", "greedy text is AR's")}
    why = "its engine fails: The size of a tensor must match"
    assert findings["MTP", "greedy text is AR's"].note == f"K = 1: {why}; K changing: {why}"


def test_a_drafter_of_another_vocabulary_is_found(clock: Clock) -> None:
    lane = TimedLane("mtp:k=4", clock)
    lane.accepts = lambda k: 0
    findings = examined(clock, TimedLane("ar", clock), lane)
    assert wrong(findings) == {("MTP", "drafts are accepted")}
    assert findings["MTP", "drafts are accepted"].note.startswith("is the drafter made for this target")


def test_a_tap_that_counts_otherwise_is_found(clock: Clock) -> None:
    lane = TimedLane("mtp:k=4", clock)
    lane.disagreements = [EngineCounts("timed", (3, 9, 4), (3, 9, 5))]
    findings = examined(clock, TimedLane("ar", clock), lane, totals=lambda one: (0, 0, one.totals.accepted // 2))
    assert wrong(findings) == {("MTP", "tap counts as vLLM")}
    assert findings["MTP", "tap counts as vLLM"].note == (
        "request timed: vLLM counts 9 drafted and 4 accepted tokens, the tap 9 and 5; vLLM's totals: 0, 0, 110"
    )


def test_what_a_gpu_has_left_after_a_step_is_found(clock: Clock) -> None:
    """The drafter is still at it when the step ends: the first wait takes long, and the second none."""
    ar, mtp = TimedLane("ar", clock), TimedLane("mtp:k=4", clock)

    def finishing(lane: Any) -> Callable[[], None]:
        left = [MS if lane is mtp else 0]

        def finish() -> None:
            clock.now_ns += MS // 10 + left[0]
            left[0] = (MS if lane is mtp else 0) - left[0]

        return finish

    findings = examined(clock, ar, mtp, finishing=finishing)
    assert wrong(findings) == {("MTP", "GPU work left after a step")}
    assert findings["MTP", "GPU work left after a step"].value == "3.6 %"
    assert findings["AR", "GPU work left after a step"].value == "0 %"


def test_a_busy_machine_gives_no_verdict_on_times(clock: Clock) -> None:
    ar, mtp = TimedLane("ar", clock), TimedLane("mtp:k=4", clock)
    ar.disturbed = True
    findings = examined(clock, ar, mtp)
    assert {place: findings[place].verdict for place in wrong(findings)} == {
        ("AR", "time in the race / alone"): "unknown"
    }


def test_without_an_ar_lane_each_is_compared_with_itself(clock: Clock) -> None:
    findings = examined(clock, TimedLane("mtp:k=2", clock))
    assert wrong(findings) == set()
    assert ("MTP", "greedy text is its own at K = 0") in findings
    assert ("", "sum of lane clocks / wall time") not in findings


@pytest.mark.parametrize(
    ("says", "verdict"),
    [(lambda place, k: place, "holds"), (lambda place, k: 0, "does not hold"), (None, "unknown")],
    ids=("equal", "other", "no memory"),
)
def test_shared_weights_are_held_against_a_lane_that_has_its_own(
    clock: Clock, says: Callable[[int, int], int] | None, verdict: str
) -> None:
    own = None if says is None else TimedLane("ar", clock)
    if own is not None and says is not None:
        own.says = says
    findings = examined(clock, TimedLane("ar", clock), TimedLane("mtp:k=2", clock), unshared=lambda: nullcontext(own))
    assert findings["", "greedy text is that of unshared weights"].verdict == verdict
    assert len(wrong(findings)) == (verdict != "holds")


@contextmanager
def failing() -> Iterator[Any]:
    """An unshared lane that does not load."""
    raise RunError("AR failed: not enough memory (details in a.log)")
    yield


def test_an_unshared_lane_that_does_not_load_costs_no_other_row(clock: Clock) -> None:
    lanes = TimedLane("ar", clock), TimedLane("mtp:k=2", clock)
    rows = examined(clock, *lanes, unshared=failing)
    *others, sharing = rows.values()
    assert (sharing.what, sharing.verdict, sharing.note) == (
        "greedy text is that of unshared weights",
        "unknown",
        "AR failed: not enough memory (details in a.log)",
    )
    assert [row.what for row in others] == [row.what for row in examined(clock, *lanes).values()]


@pytest.mark.parametrize("others", [("mtp:k=2",), ()])
def test_a_diffusion_model_is_not_held_against_unshared_weights(clock: Clock, others: tuple[str, ...]) -> None:
    diffusion = TimedLane("diffusion:model=x", clock)
    diffusion.says = lambda place, k: 99
    own = TimedLane("ar", clock)
    rows = examined(clock, diffusion, *(TimedLane(one, clock) for one in others), unshared=lambda: nullcontext(own))
    found = [row.verdict for row in rows.values() if row.what == "greedy text is that of unshared weights"]
    assert found == ["holds"] * len(others)


class Session:
    """Lanes for `doctor --lanes`, of which those after the first share its weights if ``shares``."""

    def __init__(self, clock: Clock, shares: bool) -> None:
        self._clock = clock
        self._shares = shares
        self.unshared_lanes = 0

    def lane(self, info: Any, spec: Any) -> TimedLane:
        lane = TimedLane(spec.text, self._clock)
        lane.shares_target = self._shares and info.name != "ar"
        return lane

    def unshared(self, info: Any, spec: Any) -> None:
        self.unshared_lanes += 1

    def driving(self) -> Any:
        return nullcontext()

    def close(self, *kept: Any) -> None:
        pass


@pytest.mark.parametrize("shares", [True, False])
def test_another_copy_is_loaded_only_if_lanes_share_one(
    clock: Clock, shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring = partial(Measuring, now_ns=clock, totals=totals, finishing=lambda lane: None)
    monkeypatch.setattr(lanes_measure, "Measuring", measuring)
    specs = [parse_lane_spec(text) for text in ("ar", "mtp:k=2")]
    config = HostConfig("fake", lambda report: "fake", specs, [Prompt("x")])
    session: Any = Session(clock, shares)
    rows = lanes_command._findings(config, session)
    told = [row.verdict for row in rows if row.what == "greedy text is that of unshared weights"]
    assert (told, session.unshared_lanes) == (["unknown"], 1) if shares else ([], 0)


CUDA = LaneEngine("mtp", "cuda", "V2", eager=False, graphs="piecewise", whole_graphs=(0, 2))


STEP = StepTime(30 * MS, 5 * MS, 20 * MS)
UNSTEADY = [[replace(STEP, clock_ns=ms * MS)] for ms in (20, 28, 30)]


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (found.texts("MTP", "AR's", {0: Text(40, Divergence(3, 0.25))}), "holds"),
        (found.texts("MTP", "AR's", {0: Text(40, Divergence(3, 0.26))}), "does not hold"),
        (found.texts("MTP", "AR's", {0: Text(40, Divergence(3))}), "does not hold"),
        (found.texts("MTP", "AR's", {1: Text(40)}, Text(40, Divergence(3, 2.0))), "does not hold"),
        (found.graphs(CUDA, "MTP", 2), "does not hold"),
        (found.graphs(replace(CUDA, whole_graphs=(0, 1, 2)), "MTP", 2), "holds"),
        (found.computing(CUDA, "MTP", 2, replace(CUDA, runner="V1")), "does not hold"),
        (found.computing(CUDA, "MTP", 2, None), "holds"),
        (found.accepted("n-gram", 90, 0, trained=False), "unknown"),
        (found.accepted("MTP", 8, 0, trained=True), "unknown"),
        (found.counts("MTP", 3, [], (1, 2, 1), None), "unknown"),
        (found.race_against_alone("AR", [[replace(STEP, disturbed=True)]], [[STEP]]), "unknown"),
        (found.race_against_alone("AR", [[replace(STEP, clock_ns=31 * MS)]], [[STEP]]), "holds"),
        (found.race_against_alone("AR", [[replace(STEP, clock_ns=28 * MS)]], [[STEP]]), "does not hold"),
        (
            found.race_against_alone("AR", [[replace(STEP, clock_ns=c * MS)] for c in (20, 28, 30)], [[STEP]] * 3),
            "unknown",
        ),
        (found.covered("AR", [Pass(33 * MS, 3 * MS, {"ar": [STEP]})]), "does not hold"),
        (found.covered("AR", [Pass(33 * MS, 3 * MS, {"ar": [replace(STEP, disturbed=True)]})]), "unknown"),
        (found.covered("AR", [Pass(p * MS, 0, {"ar": [STEP]}) for p in (60, 31)]), "holds"),
        (found.parts("MTP", [[StepTime(30 * MS, None, 20 * MS)]]), "unknown"),
        (found.left_over("MTP", [(15 * MS, 30 * MS), (0, 30 * MS), (MS // 5, 30 * MS)]), "holds"),
        (found.left_over("MTP", [(MS, 30 * MS)]), "does not hold"),
        (found.left_over("MTP", [(MS // 25, MS // 2)]), "holds"),
    ],
)
def test_verdicts(finding: Finding | None, verdict: str) -> None:
    assert finding is not None
    assert finding.verdict == verdict


FINDINGS = [
    found.loading("AR"),
    found.loading("MTP", "n-gram failed: no \x1b[31mway"),
    found.counts("MTP", 3, [], (1, 2, 1), None),
]


def test_the_table_is_for_people_and_bug_reports() -> None:
    assert table({"machine": "AMD EPYC, 2 cores", "lanes": "ar mtp:k=4"}, FINDINGS) == [
        "machine  AMD EPYC, 2 cores",
        "lanes    ar mtp:k=4",
        "",
        "verdict          lane  what                value                                        bound",
        "✓ holds          AR    loads               yes",
        "✗ does not hold  MTP   loads               no",
        "                 n-gram failed: no \\x1b[31mway",
        "? unknown        MTP   tap counts as vLLM  3 requests; 1 drafts, 2 drafted, 1 accepted  equal",
        "",
        "1 hold, 1 does not, 1 unknown",
    ]


def test_the_document_is_for_machines() -> None:
    made = json.loads(json.dumps(document({"machine": "x"}, FINDINGS[:1])))
    assert made == {
        "machine": "x",
        "findings": [
            {"what": "loads", "lane": "AR", "value": "yes", "bound": "", "verdict": "holds", "note": ""},
        ],
    }


def test_lanes_that_do_not_fit_together_are_not_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_engine(monkeypatch, {})
    monkeypatch.setattr(lanes_command, "apply_or_reexec", lambda gpu: None)
    specs = [parse_lane_spec("ar")]
    room = Room("not enough memory: take less")
    config = HostConfig("fake", lambda report: "fake", specs, [Prompt("x")], room=lambda: room)
    monkeypatch.setattr("spectui.setup.config.host_config", lambda options, gpu: config)
    assert main(["doctor", "--lanes"]) == FAILED
    assert capsys.readouterr().err.startswith("spectui doctor: not enough memory: take less (details in ")
    assert not FakeLane.made


def test_options_about_lanes_need_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--lane", "ar"]) == WRONG_USAGE
    assert capsys.readouterr().err == "spectui doctor: --lane works only with --lanes: add --lanes, or leave it out\n"
