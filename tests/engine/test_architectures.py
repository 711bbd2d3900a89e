"""The architectures that people run, each with its drafters, in real lanes on tiny checkpoints that share the target.

What holds for each: the tap counts what vLLM counts, greedy text is AR's whatever K does, and memory is what the
checkpoints hold. What this build of vLLM cannot run is refused with a sentence. In test_sharing.py such lanes are held
against lanes that each have their own copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from spectui.core.losslessness import NEAR_TIE_MARGIN
from spectui.protocol.events import Sampling
from spectui.sources.vllm.compat import engines
from spectui.sources.vllm.examining import draft_totals
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos, parse_lane_spec
from spectui.sources.vllm.loading import Loader, NotLoadedError
from spectui.sources.vllm.prompting import chat_ids
from tests.engine.driving import Outcome, check, start, step
from tests.engine.test_footprint import tensor_bytes
from tests.support.tiny_checkpoints import KINDS, Tiny, make

pytestmark = pytest.mark.engine

PROMPTS = ("Hello there", "Count from one to ten, please.", "abc")
GREEDY = Sampling(max_tokens=24, ignore_eos=True)
ENGINE_ARGS = {
    "enforce_eager": True,
    "max_model_len": 256,
    "max_num_seqs": 4,
    "kv_cache_memory_bytes": 16 << 20,
    "enable_prefix_caching": False,
    "disable_log_stats": False,
    "seed": 0,
}
METHODS = {
    "llama": ("mtp", "dflash", "eagle3", "draft_model", "ngram"),
    "qwen3": ("dflash", "eagle3", "draft_model", "ngram"),
    "gemma4": ("mtp", "dflash", "ngram"),
    "gemma4-moe": ("mtp", "dflash", "ngram"),
    "gemma4-e2b": ("mtp", "ngram"),
    "qwen3.5": ("mtp", "dflash"),
    "qwen3.5-moe": ("mtp", "dflash"),
}
"""What runs on a CPU."""


class House:
    """The lanes on one target, each loaded when it is first asked for."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.tiny: Tiny = make(kind, folder)
        args = {**ENGINE_ARGS, "dtype": self.tiny.dtype}
        self._loader = Loader(lambda report: str(self.tiny.target), args)
        self._loader.find_target()
        self._loader.import_engine()
        self._lanes: dict[str, Lane] = {}
        self._ar_ids: list[list[int]] | None = None

    def spec(self, method: str, k: int = 3) -> LaneSpec:
        return parse_lane_spec(self.tiny.lanes[method].replace("k=3", f"k={k}"))

    def load(self, spec: LaneSpec) -> Lane:
        return self._loader.lane(lane_infos([spec])[0], spec)

    def lane(self, method: str) -> Lane:
        if method not in self._lanes:
            self._lanes[method] = self.load(self.spec(method))
        return self._lanes[method]

    @property
    def ar_ids(self) -> list[list[int]]:
        if self._ar_ids is None:
            self._ar_ids = texts(run(self.lane("ar"), (0,)))
        return self._ar_ids

    def assert_as_ar(self, ids: Sequence[Sequence[int]]) -> None:
        """In float32 the text is AR's; in bfloat16 it may leave it where the target was undecided."""
        if self.tiny.dtype == "float32":
            assert ids == self.ar_ids
        assert self.widest(ids) <= NEAR_TIE_MARGIN

    def widest(self, ids: Sequence[Sequence[int]]) -> float:
        """The target's margin where a text left AR's, the largest of all; 0 if none did."""
        margins = [0.0]
        for prompt, own, ar in zip(PROMPTS, ids, self.ar_ids, strict=True):
            assert len(own) == len(ar)
            place = next((at for at, (one, other) in enumerate(zip(own, ar, strict=True)) if one != other), None)
            if place is not None:
                reference = self.lane("ar")
                margins.append(reference.top_two_margin([*chat_ids(reference.tokenizer, prompt), *ar[:place]]))
        return max(margins)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()


def run(lane: Lane, ks: Sequence[int]) -> Outcome:
    """Let a lane generate, its steps taking each K of ``ks`` in turn; every step is checked."""
    outcome = Outcome()
    start(lane, PROMPTS, GREEDY, outcome)
    turns = cycle(ks)
    while lane.running:
        if lane.info.k_max:
            lane.k = next(turns)
        step(lane, outcome)
    check(outcome)
    return outcome


def texts(outcome: Outcome) -> list[list[int]]:
    return [outcome.ids(f"r{slot}") for slot in range(len(PROMPTS))]


@pytest.fixture(scope="module")
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(request.param, tmp_path_factory.mktemp(request.param))
    yield made
    made.close()
    del made
    engines.reclaim()


houses = pytest.mark.parametrize("house", KINDS, indirect=True)


@houses
def test_text_and_counts(house: House, subtests: pytest.Subtests) -> None:
    # Text that repeats one token would prove nothing.
    assert min(len(set(ids)) for ids in house.ar_ids) >= 4
    for method in METHODS[house.kind]:
        lane = house.lane(method)
        for ks in [(3,)] if lane.fixed_k else [(3,), (3, 1, 0, 2), (1,)]:
            with subtests.test(method=method, ks=ks):
                _as_vllm_counts_and_ar_says(house, method, ks)


def _as_vllm_counts_and_ar_says(house: House, method: str, ks: Sequence[int]) -> None:
    lane = house.lane(method)
    before = draft_totals(lane)
    outcome = run(lane, ks)
    after = draft_totals(lane)
    house.assert_as_ar(texts(outcome))
    assert before is not None
    assert after is not None
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert len(outcome.metrics) == len(PROMPTS)
    assert lane.disagreements == []
    _, drafted, accepted = outcome.totals()
    assert 0 < accepted <= drafted
    # A copy of the target is always right, and what a text repeats can be.
    assert accepted < drafted or method in ("draft_model", "ngram")


@houses
@pytest.mark.parametrize("k", [1, 5])
def test_another_k_max(house: House, k: int) -> None:
    lane = house.load(house.spec(METHODS[house.kind][0], k))
    try:
        outcome = run(lane, (k,))
        house.assert_as_ar(texts(outcome))
        assert max(len(each.drafted) for steps in outcome.steps.values() for each in steps) == k
        assert lane.disagreements == []
    finally:
        lane.close()


def held(folder: Path, *, without: str = "", only: str = "") -> int:
    """Bytes of the tensors in a checkpoint whose names begin with ``only``, and not with ``without``."""
    sizes = tensor_bytes(folder / "model.safetensors")
    return sum(
        size
        for name, size in sizes.items()
        if name.startswith(only) and not (without and name.startswith(without)) and name != "d2t"
    )


@houses
def test_memory_is_what_the_checkpoints_hold(house: House, subtests: pytest.Subtests) -> None:
    for method in ("ar", *METHODS[house.kind]):
        with subtests.test(method=method):
            _holds_its_checkpoints(house, method)


def _holds_its_checkpoints(house: House, method: str) -> None:
    memory, spec = house.lane(method).memory(), house.spec(method)
    assert memory.target_shared == (method != "ar")
    sizes = tensor_bytes(house.tiny.target / "model.safetensors")
    target = held(house.tiny.target, without="mtp.")
    if house.kind in ("gemma4", "gemma4-moe"):
        # Full layers take their keys for values too, and vLLM keeps them twice.
        target += sizes["model.layers.3.self_attn.k_proj.weight"]
    assert memory.target_bytes == pytest.approx(target, rel=0.005)
    moe = house.kind.endswith("moe")
    assert (memory.experts, memory.experts_active) == ((4, 2) if moe else (0, 0))
    assert memory.expert_bytes == sum(
        size for name, size in sizes.items() if ".experts." in name and not name.startswith("mtp.")
    )
    if method in ("ar", "ngram"):
        drafter = 0
    elif "model" not in spec.options:
        drafter = held(house.tiny.target, only="mtp.")
    elif spec.options["model"] == "target":
        drafter = target
    else:
        drafter = held(Path(spec.options["model"]))
    assert memory.drafter_bytes == pytest.approx(drafter, rel=0.005)
    assert memory.kv_reserved is not None
    assert 0 < memory.kv_reserved <= ENGINE_ARGS["kv_cache_memory_bytes"]


def test_checkpoints_are_the_same_each_time(tmp_path: Path) -> None:
    for kind in KINDS:
        first, second = (make(kind, tmp_path / kind / name).target.parent for name in ("a", "b"))
        written = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
        assert [(first / path).read_bytes() for path in written] == [(second / path).read_bytes() for path in written]


def refusal(house: House, method: str) -> str:
    with pytest.raises(NotLoadedError) as refused:
        house.load(house.spec(method))
    return str(refused.value)


@pytest.mark.parametrize(
    ("house", "method", "title"),
    [
        ("gemma4-e2b", "dflash", "DFlash"),
        ("gemma4", "draft_model", "draft model"),
        ("gemma4-moe", "draft_model", "draft model"),
    ],
    indirect=["house"],
)
def test_a_drafter_whose_cache_does_not_fit_is_refused(house: House, method: str, title: str) -> None:
    spec = house.spec(method)
    with pytest.raises(AssertionError, match="All drafting layers should belong to the same kv cache group"):
        Lane(lane_infos([spec])[0], spec, str(house.tiny.target), {**ENGINE_ARGS, "dtype": house.tiny.dtype})
    engines.reclaim()
    assert refusal(house, method).startswith(f"{title} does not work with this target on vLLM's V1 model runner")


@pytest.mark.parametrize("house", ["qwen3.5", "qwen3.5-moe"], indirect=True)
def test_gated_delta_net_without_amx_keeps_its_k(house: House) -> None:
    """With fewer drafts its text leaves AR's where the target is sure, so the lane has a single K."""
    lane = house.load(house.spec("mtp"))
    try:
        if not lane.fixed_k:
            pytest.skip("this processor rolls the state by any number of drafts")
        assert lane.fixed_k.startswith("K stays 3: this processor has no AMX")
        assert list(lane.ks) == [3]
        assert house.widest(texts(run(lane, (1,)))) > NEAR_TIE_MARGIN
    finally:
        lane.close()
    assert refusal(house, "ngram").startswith("n-gram cannot run on this target here: this processor has no AMX")


def test_positions_of_pictures_are_refused_before_they_end_the_process(tmp_path: Path) -> None:
    """Greedy AR works with them, an MTP head aborts the process: nothing that a test can catch."""
    house = House("qwen3.5", tmp_path)
    path = house.tiny.target / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["rope_parameters"] |= {"mrope_section": [3, 3, 2], "mrope_interleaved": True}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert refusal(house, "mtp").startswith("its MTP head also takes image positions")


def test_a_lane_of_one_k_begins_with_it(tmp_path: Path) -> None:
    house = House("qwen3.5", tmp_path)
    spec = parse_lane_spec("mtp:k=3,start=1")
    lane = house.load(spec)
    try:
        assert lane.k == (3 if lane.fixed_k else 1)
    finally:
        lane.close()
