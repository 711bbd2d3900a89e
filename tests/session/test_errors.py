"""Whatever is wrong with a lane or its model, one sentence says what, where and what to do; the other lanes race on."""

from __future__ import annotations

import queue
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol.commands import SetPrompt
from spectui.protocol.events import (
    Event,
    LaneStage,
    Notice,
    Prompt,
    RequestFinished,
    RoundFinished,
    RoundStarted,
    Sampling,
    Step,
)
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.errors import explain
from spectui.sources.vllm.host import EngineHost
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.sources.vllm.target import TargetError, find_target
from tests.conftest import SMALL_ENGINE_ARGS
from tests.session import checkpoints
from tests.session.program import PROMPT_S, START_S

WARM_UP = tuple(range(100, 164))


class Watcher:
    """A source's sink: everything that came, and waiting for what comes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._coming: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def emit(self, event: Event) -> None:
        self._coming.put(event)

    def until(self, what: Callable[[Event], bool]) -> None:
        while True:
            event = self._coming.get(timeout=START_S)
            self.events.append(event)
            if what(event):
                return
            assert not (isinstance(event, Notice) and event.level == "error"), event.text


def host_of(demo_model: Path, specs: Sequence[str], max_tokens: int = 24) -> EngineHost:
    return EngineHost(
        HostConfig(
            target="demo",
            find_target=lambda report: str(demo_model),
            specs=[parse_lane_spec(spec) for spec in specs],
            prompts=[Prompt("Count from one to twenty.")],
            sampling=Sampling(max_tokens=max_tokens, ignore_eos=True),
            engine_args=SMALL_ENGINE_ARGS,
        )
    )


def test_failing_lanes_leave_the_others_racing(demo_model: Path, tmp_path: Path) -> None:
    """Broken before its engine lives, in the warm-up, in mid-race; before, between and behind lanes that work."""
    narrow = checkpoints.dflash_drafter(tmp_path / "narrow", hidden=192)
    deep = checkpoints.dflash_drafter(tmp_path / "deep", layers=(99,))
    cut = checkpoints.dflash_drafter(tmp_path / "cut")
    checkpoints.cut_in_half(cut / "model.safetensors")
    foreign = checkpoints.draft_model(tmp_path / "foreign", demo_model, vocab_size=1000)
    pairs = checkpoints.mtp_head(tmp_path / "pairs", demo_model, predicts=2)
    lanes = {
        f"dflash:model={narrow},k=5": rf"drafter '{narrow}' does not fit the target: it expects 192 hidden features, "
        "the target gives 576; use one that was trained for this target",
        f"dflash:model={deep},k=5": rf"drafter '{deep}' does not fit the target: the target has no layers where .*",
        "ar": None,
        f"dflash:model={cut},k=5": rf"the drafter's weights in {cut}/model.safetensors are damaged or incomplete: .*",
        f"draft_model:model={foreign},k=4": rf"drafter '{foreign}' does not fit the target: its vocabulary has 1000 "
        "tokens, the target's 49152; .*",
        "draft_model:model=/nowhere,k=4": "drafter '/nowhere' was not found: no such folder, check the path",
        "mtp:k=2": "the target has no built-in MTP head: name one, as in mtp:model=PATH_OR_ID,k=2",
        f"mtp:model={pairs},k=3": "K=3 does not work: this drafter predicts 2 tokens at once, so try k=2 or k=4",
        "custom_class:model=tests.session.failing_drafter.Drafter,k=1": "its engine died: the drafter lost "
        "its thread; the log has the details",
        "ngram:k=5": None,
    }
    host, watcher = host_of(demo_model, list(lanes)), Watcher()
    host.start(watcher)
    try:
        watcher.until(lambda event: isinstance(event, RoundFinished))
    finally:
        assert host.stop(PROMPT_S)
    names = [info.name for info in lane_infos([parse_lane_spec(spec) for spec in lanes])]
    said = {e.lane: e.detail for e in watcher.events if isinstance(e, LaneStage) and e.stage == "failed"}
    for name, expected in zip(names, lanes.values(), strict=True):
        if expected is not None:
            assert re.fullmatch(expected, said[name]), said[name]
    working = [name for name, expected in zip(names, lanes.values(), strict=True) if expected is None]
    assert said.keys() == set(names) - set(working)
    finished = {e.lane: e.emitted for e in watcher.events if isinstance(e, RequestFinished)}
    assert finished == dict.fromkeys(working, 24)
    steps = [e.lane for e in watcher.events if isinstance(e, Step)]
    assert 0 < steps.count("custom_class") <= 12


def test_a_prompt_that_does_not_fit_is_refused_and_the_next_one_races(demo_model: Path) -> None:
    host, watcher = host_of(demo_model, ["ar"], max_tokens=4), Watcher()
    host.start(watcher)
    try:
        watcher.until(lambda event: isinstance(event, RoundFinished))
        host.send(SetPrompt("word " * 600))
        watcher.until(lambda event: isinstance(event, Notice))
        said = watcher.events[-1]
        assert isinstance(said, Notice)
        assert re.fullmatch(
            r"the prompt has 6\d\d tokens, but the lanes take at most 511: shorten it, or .*", said.text
        )
        host.send(SetPrompt("Count."))
        watcher.until(lambda event: isinstance(event, RoundStarted))
        watcher.until(lambda event: isinstance(event, RequestFinished))
    finally:
        assert host.stop(PROMPT_S)


Case = Callable[[Path, Path], tuple[str, str, dict[str, Any]]]
"""From a free path and the demo model: a lane spec, a target and engine arguments."""


def _damaged(damage: Callable[[Path], None]) -> Case:
    def case(free: Path, demo: Path) -> tuple[str, str, dict[str, Any]]:
        damage(checkpoints.own_weights(free, demo))
        return "ar", str(free), {}

    return case


def _without(*names: str) -> Case:
    return lambda free, demo: ("ar", str(checkpoints.target_copy(free, demo, *names)), {})


def _engine_args(**arguments: Any) -> Case:
    return lambda free, demo: ("ngram:k=5", str(demo), arguments)


def _target(name: str) -> Case:
    return lambda free, demo: ("ar", name, {})


def _garbled_config(free: Path, demo: Path) -> tuple[str, str, dict[str, Any]]:
    checkpoints.target_copy(free, demo, "config.json")
    (free / "config.json").write_text("{ half")
    return "ar", str(free), {}


REBUILT = (
    r"the model's weights in .*model\.safetensors are damaged or incomplete: delete it and start again; it is rebuilt"
)
CANNOT: dict[str, tuple[Case, str]] = {
    "a path that is not there": (
        _target("/nowhere/model"),
        "model '/nowhere/model' was not found: no such folder, check the path",
    ),
    "an id that nobody has": (_target("nobody/nothing"), r"model 'nobody/nothing' was not found: .* the network"),
    "no config": (_without("config.json"), r"model '.*' has no config\.json: it must be the folder of .* checkpoint"),
    "a broken config": (_garbled_config, r"model '.*' has a config\.json that is not valid JSON"),
    "no tokenizer": (
        _without("tokenizer.json", "tokenizer_config.json"),
        r"model '.*' has no tokenizer: a file such as tokenizer\.json is missing",
    ),
    "no weights": (_without("model.safetensors"), r"model '.*' has no weights: a file such as .* is missing"),
    "weights cut short": (_damaged(checkpoints.cut_in_half), REBUILT),
    "weights with a broken head": (_damaged(lambda path: checkpoints.flip_bytes(path, 8)), REBUILT),
    "an unknown argument": (
        _engine_args(max_modellen=1024),
        r"vLLM has no engine argument 'max_modellen': did you mean 'max_model_len'\?",
    ),
    "a value of the wrong kind": (
        _engine_args(max_model_len="long"),
        r"max_model_len='long' is not valid: input should be a valid integer.*",
    ),
    "a value that does not exist": (_engine_args(dtype="bfloat61"), r"dtype='bfloat61' is not valid: .*bfloat16.*"),
    "a length that the model lacks": (
        _engine_args(max_model_len=99999),
        r"could not be started: User-specified max_model_len \(99999\) is greater .*; the log has the details",
    ),
    "a cache too small": (
        _engine_args(kv_cache_memory_bytes=1 << 20),
        r"its KV cache is too small for one full answer: raise --engine-arg kv_cache_memory_bytes=.*",
    ),
    "a cache too large": (
        _engine_args(kv_cache_memory_bytes=1 << 50),
        r"not enough free memory for its KV cache: make it smaller with --engine-arg kv_cache_memory_bytes=\.\.\.",
    ),
    "no room for the warm-up": (
        _engine_args(max_model_len=32),
        r"max_model_len=32 is too short even for the warm-up.*",
    ),
}


@pytest.mark.parametrize("name", CANNOT)
def test_a_lane_that_cannot_be_built_says_why(demo_model: Path, tmp_path: Path, name: str) -> None:
    case, expected = CANNOT[name]
    text, target, arguments = case(tmp_path / "model", demo_model)
    spec = parse_lane_spec(text)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        Lane(lane_infos([spec])[0], spec, target, SMALL_ENGINE_ARGS | arguments).warm_up(WARM_UP)
    sentence = explain(caught.value, spec, target)
    assert re.fullmatch(expected, sentence), sentence


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("nobody/nothing", r"model 'nobody/nothing' was not found: no folder .* HF_HUB_OFFLINE is set; check .*"),
        ("a/b/c", r"model 'a/b/c' was not found: it is neither a folder nor the form owner/name, check the spelling"),
        ("./here", r"model '\./here' was not found: no such folder, check the path"),
    ],
)
def test_a_target_is_looked_for_once_before_any_lane(model: str, expected: str) -> None:
    with pytest.raises(TargetError) as caught:
        find_target(model, lambda *_: None)
    assert re.fullmatch(expected, str(caught.value))
