"""The line to paste into a shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from spectui.core.serve_line import serve_line
from spectui.sources.vllm.config import HostConfig
from spectui.sources.vllm.lane_spec import LaneSpec, parse_lane_spec

DRAFTING = {"method": "mtp", "num_speculative_tokens": 7, "model": "a head's folder"}


def test_what_the_chat_template_was_told_is_part_of_it() -> None:
    line = serve_line("some/model", DRAFTING, {1: 0}, template_arguments={"enable_thinking": False})
    words = shlex.split(line)
    assert words[:4] == ["vllm", "serve", "some/model", "--default-chat-template-kwargs"]
    assert json.loads(words[4]) == {"enable_thinking": False}
    assert "--default" not in serve_line("some/model", DRAFTING, {1: 0}, template_arguments={})


@pytest.mark.parametrize(
    ("best", "k", "table"),
    [
        ({1: 3}, 3, None),
        ({1: 3, 4: 3}, 3, None),
        ({1: 3, 4: 1}, 3, [[1, 3, 3], [4, 1024, 1]]),
        ({4: 0, 1: 2, 2: 2}, 2, [[1, 3, 2], [4, 1024, 0]]),
        ({2: 1, 8: 4}, 4, [[1, 7, 1], [8, 1024, 4]]),
    ],
)
def test_the_config_survives_the_shell(best: dict[int, int], k: int, table: Any) -> None:
    words = shlex.split(serve_line("some/model", DRAFTING, best))
    assert words[:4] == ["vllm", "serve", "some/model", "--speculative-config"]
    config = json.loads(words[4])
    assert config.pop("num_speculative_tokens_per_batch_size", None) == table
    assert config == {**DRAFTING, "num_speculative_tokens": k}


def test_where_nothing_pays_nothing_is_drafted() -> None:
    assert serve_line("a model", DRAFTING, {1: 0, 4: 0}) == "vllm serve 'a model'"
    assert serve_line("m", DRAFTING, {}) == "vllm serve m"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("quantization", "fp8", ["--quantization", "fp8"]),
        ("dtype", "float32", ["--dtype", "float32"]),
        ("max_model_len", 4096, ["--max-model-len", "4096"]),
        ("max_model_len", -1, ["--max-model-len=-1"]),
        ("tensor_parallel_size", 2, ["--tensor-parallel-size", "2"]),
        ("enforce_eager", True, ["--enforce-eager"]),
        ("enable_prefix_caching", False, ["--no-enable-prefix-caching"]),
        ("hf_overrides", {"rope_theta": 1e6}, ["--hf-overrides", '{"rope_theta": 1000000.0}']),
        ("served_model_name", ["a", "b c"], ["--served-model-name", "a", "b c"]),
        ("load_format", None, []),
    ],
)
def test_every_engine_argument_of_the_user_is_part_of_it(name: str, value: Any, words: list[str]) -> None:
    for best in ({1: 3}, {1: 0}):
        line = serve_line("m", DRAFTING, best, engine_args={name: value})
        assert shlex.split(line)[: 3 + len(words)] == ["vllm", "serve", "m", *words]


def host_config(spec: str, **settings: Any) -> tuple[HostConfig, LaneSpec]:
    parsed = parse_lane_spec(spec)
    return HostConfig("m", lambda report: "m", [parsed], [], **settings), parsed


def test_how_it_was_measured_is_said_before_it() -> None:
    ours = {"dtype": "float32", "enforce_eager": True, "max_model_len": 2048}
    config, spec = host_config("ngram:k=5", engine_args=ours)
    comment, line = config.serve_line(spec, "m", {1: 3}).split("\n")
    assert comment == (
        "# measured in float32, in eager mode, with synchronous scheduling (the tap needs it); the server's "
        "defaults differ"
    )
    assert line.startswith("vllm serve m --speculative-config ")
    asked = {"dtype": "float32", "enforce_eager": False}
    config, spec = host_config("ngram:k=5", engine_args={**ours, **asked}, asked_args=asked)
    comment, line = config.serve_line(spec, "m", {1: 0}).split("\n")
    assert comment == ("# measured with synchronous scheduling (the tap needs it); the server's defaults differ")
    assert line == "vllm serve m --dtype float32 --no-enforce-eager"


def test_what_the_target_needs_for_its_drafter_is_there_where_it_drafts() -> None:
    needed = {"num_nextn_predict_layers": 1, "rope_theta": 1}
    asked = {"hf_overrides": {"rope_theta": 1}}
    config, spec = host_config("mtp:k=2", engine_args=asked, asked_args=asked)
    spec = Needy(spec.method, spec.k_max, spec.options)
    for best, overrides in (({1: 2}, needed), ({1: 0}, asked["hf_overrides"])):
        words = shlex.split(config.serve_line(spec, "m", best).split("\n")[1])
        assert json.loads(words[words.index("--hf-overrides") + 1]) == overrides


class Needy(LaneSpec):
    """A head in a folder of its own."""

    def target_arguments(self, hf_overrides: Any = None) -> dict[str, Any]:
        return {"hf_overrides": {"num_nextn_predict_layers": 1, **(hf_overrides or {})}}
