"""Wrong usage is one line with the nearest valid choice, before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spectui.bench.tune import tuned_specs
from spectui.cli import main as cli
from spectui.cli import run
from spectui.errors import UsageError
from spectui.setup import values
from spectui.setup.config import host_config
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.lane_spec import parse_lane_spec
from tests.trace.making import file_of, made_run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--lane ngarm", r"unknown lane method 'ngarm': did you mean 'ngram'\? Valid are ar, .*\."),
        ("--lane draft", r"unknown lane method 'draft': did you mean 'draft_model'\? .*"),
        ("--lane xyz", r"unknown lane method 'xyz': valid are ar, .*\."),
        ("--lane ngram:k=99", r"lane 'ngram:k=99': k=99 is not valid: K is a whole number from 1 to 64\."),
        ("--lane ngram:k=3,start=4", r"lane 'ngram:k=3,start=4': start=4 must be 0 to k=3\."),
        ("--lane ngram:k=0", r"lane 'ngram:k=0': k=0 is not valid: .*"),
        ("--lane ngram:kk=3", r"lane 'ngram:kk=3': unknown option 'kk': did you mean 'k'\?"),
        ("--lane ngram:max=x", r"lane 'ngram:max=x': max and min must be whole numbers, .*"),
        ("--lane ngram:k", r"lane 'ngram:k': 'k' is not key=value, as in 'ngram:k=4'\."),
        (
            "--model some/model --lane dflash",
            r"lane 'dflash': dflash needs its drafter, as in 'dflash:model=PATH_OR_ID,k=4'\.",
        ),
        ('--lane ngram:max="a,k=3', r"lane 'ngram:max=\"a,k=3': max and min must be whole numbers, .*"),
        ("--engine-arg max-modellen=9", r"--engine-arg: vLLM has no argument 'max_modellen': did you mean 'max_mod.*"),
        ("--lane ar:k=3", r"lane 'ar:k=3': ar drafts nothing and takes no options\."),
        ("--lane diffusion", r"lane 'diffusion': diffusion needs its model, as in 'diffusion:model=PATH_OR_ID'\."),
        ("--lane diffusion:model=a,k=3", r"lane 'diffusion:model=a,k=3': diffusion takes a model, and no 'k'\."),
        ("--engine-arg max_modellen=9", r"--engine-arg: vLLM has no argument 'max_modellen': did you mean 'max_mod.*"),
        ("--engine-arg model=x", r"--engine-arg model cannot be set: --model names it"),
        ("--engine-arg speculative_config=x", r"--engine-arg speculative_config cannot be set: --lane describes it"),
        ("--engine-arg max_num_seqs=x", r"--engine-arg max_num_seqs=x: must be a whole number, 1 or more"),
        ("--model ./nowhere", r"model '\./nowhere' was not found: no such folder, check the path"),
        ("--model /", r"model '/' has no config\.json: it must be the folder of a Hugging Face checkpoint"),
        ("--concurrency 99", r"--concurrency 99: requests in flight must be 1 to 16"),
        ("--category sports", r"unknown category 'sports': choose from coding, .*"),
        ("--prompts /nowhere", r"the prompt file /nowhere cannot be read: .*"),
    ],
)
def test_wrong_usage_is_refused_before_anything_starts(words: str, expected: str) -> None:
    options = cli.build_parser().parse_args(["run", *words.split()])
    with pytest.raises(UsageError) as caught:
        host_config(options, gpu=False)
    assert re.fullmatch(expected, str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--k 0..99", r"--k 0\.\.99 is not valid: use 0\.\.7 or 0,2,4, with K from 0 to 64"),
        ("--k 3..x", r"--k 3\.\.x is not valid: .*"),
        ("--k 0", r"--k 0 leaves nothing to choose: use a range such as 0\.\.7"),
        (
            "--lane mtp:k=3 --lane mtp:k=auto",
            r"lane 'mtp:k=auto' chooses its K by itself: leave out k=auto to search for its best K",
        ),
        ("--lane ar", r"nothing to tune: name a lane that drafts, as in --lane mtp:k=4"),
        ("--lane ngram:k=7 --k 0..99", r"--k 0\.\.99 is not valid: .*"),
        (
            "--lane ngram:k=7 --k 0..9",
            r"--k 0\.\.9 is out of range: lane 'ngram:k=7' goes from 0 to 7; leave out its k=",
        ),
    ],
)
def test_what_cannot_be_tuned_is_refused(words: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        tuned_specs(cli.build_parser().parse_args(["tune", *words.split()]))
    assert re.fullmatch(expected, str(caught.value)), str(caught.value)


def test_a_lane_is_built_for_the_largest_k_that_is_tried() -> None:
    def built(words: str) -> list[int]:
        return [spec.k_max for spec in tuned_specs(cli.build_parser().parse_args(["tune", *words.split()]))]

    assert built("--lane ngram --k 0,2,6") == [6]
    assert built("--lane ar --lane ngram:k=7") == [7]
    assert built("--lane ngram:k=2") == [4]
    assert built("--k 0..6") == [6, 6]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "tune --concurrency 1,99",
            r"spectui tune: argument --concurrency: '1,99': requests in flight must be 1 to 16 .*",
        ),
        ("rnu", r"spectui: unknown command 'rnu': did you mean 'run'\? \(spectui --help lists .*\)"),
        (
            "run --lanse ar",
            r"spectui run: unknown option '--lanse': did you mean '--lane'\? \(spectui run --help .*",
        ),
        ("replay x --spee 2", r"spectui replay: unknown option '--spee': did you mean '--speed'\? .*"),
        ("run --conc=4", r"spectui run: unknown option '--conc'.*"),
        ("--lanse=ar", r"spectui run: unknown option '--lanse': did you mean '--lane'\? .*"),
        ("run more", r"spectui run: unknown argument 'more' \(.*\)"),
        ("run --max-tokens few", r"spectui run: argument --max-tokens: 'few' is not a whole number \(.*\)"),
        ("run --max-tokens 0", r"spectui run: argument --max-tokens: 0 is not a positive number \(.*\)"),
        ("run --temperature hot", r"spectui run: argument --temperature: 'hot' is not a temperature from 0 to 10 \(.*"),
        ("run --top-p 0", r"spectui run: argument --top-p: '0' is not a share above 0 and at most 1 \(.*\)"),
        ("tune --top-p 1.5", r"spectui tune: argument --top-p: '1.5' is not a share above 0 and at most 1 \(.*\)"),
        ("run --top-k -2", r"spectui run: argument --top-k: -2 is not a number of tokens \(0 means all\) \(.*\)"),
        (
            "calibrate --chat-template-arg thinking",
            r"spectui calibrate: argument --chat-template-arg: 'thinking' is not KEY=VALUE, as in enable_th.*",
        ),
        (
            "run --chat-template-arg messages=[]",
            r"spectui run: .*: 'messages' cannot be set: it comes from the prompt .*",
        ),
        ("run --engine-arg x", r"spectui run: argument --engine-arg: 'x' is not KEY=VALUE, as in .*"),
        (
            "run --engine-arg max_model_len=1.5K",
            r"spectui run: argument --engine-arg: 'max_model_len=1.5K': K takes whole numbers; "
            r"did you mean '1.5k'\? \(.*",
        ),
    ],
)
def test_a_wrong_word_is_one_line(words: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    output = capsys.readouterr()
    assert caught.value.code == 2
    assert output.out == ""
    assert re.fullmatch(expected + "\n", output.err), output.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu-memory-utilization=0.5", ("gpu_memory_utilization", 0.5)),
        ("gpu_memory_utilization=0.5", ("gpu_memory_utilization", 0.5)),
        ("enforce-eager=true", ("enforce_eager", True)),
        ("max_model_len=4096", ("max_model_len", 4096)),
        ("max_model_len=4k", ("max_model_len", 4000)),
        ("max-model-len=4K", ("max_model_len", 4096)),
        ("max_model_len=25.6k", ("max_model_len", 25600)),
        ("max_model_len=auto", ("max_model_len", -1)),
        ("kv_cache_memory_bytes=1.5g", ("kv_cache_memory_bytes", 1_500_000_000)),
        ("kv-cache-memory-bytes=2G", ("kv_cache_memory_bytes", 2 << 30)),
        ("max_num_batched_tokens=1M", ("max_num_batched_tokens", 1 << 20)),
        ("kv_cache_memory_bytes=1T", ("kv_cache_memory_bytes", 1 << 40)),
        # None of the arguments that vLLM counts so.
        ("quantization=4k", ("quantization", "4k")),
        ("load_format=auto", ("load_format", "auto")),
        ('hf_overrides={"a-b": 1}', ("hf_overrides", {"a-b": 1})),
    ],
)
def test_engine_arguments_are_spelled_as_on_vllm_s_command_line(text: str, expected: tuple[str, object]) -> None:
    assert cli.build_parser().parse_args(["run", "--engine-arg", text]).engine_arg == [expected]


def test_the_arguments_with_units_are_vllm_s() -> None:
    folder = vllm_options.engine_folder()
    if folder is None:
        pytest.skip("vLLM is not installed")
    source = (folder / "engine" / "arg_utils.py").read_text()
    found = re.search(r"human_readable_int_args = \{(.*?)\}", source, re.S)
    assert found is not None
    assert {"max_model_len", *re.findall(r'"(\w+)"', found[1])} == values.COUNTED


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('draft_model:model="/data/a,b",k=3', {"model": "/data/a,b"}),
        ("draft_model:model='/data/a,b',k=3", {"model": "/data/a,b"}),
        ("draft_model:k=3,model='/data/a,k=9,b'", {"model": "/data/a,k=9,b"}),
        ("draft_model:model=/data/bob's/a,k=3", {"model": "/data/bob's/a"}),
        ("draft_model:model='x'y,k=3", {"model": "'x'y"}),
        ('draft_model:model="x,k=3', {"model": '"x'}),
        ('draft_model:model=/m,moe_backend="a\\"b,c",k=3', {"model": "/m", "moe_backend": 'a"b,c'}),
        ('draft_model:model=/m,quantization=["a","b"],k=3', {"model": "/m", "quantization": ["a", "b"]}),
        ("draft_model:model=/data/a=b,,k=3,", {"model": "/data/a=b"}),
        ("draft_model:k=3, model = /m ", {"model": "/m"}),
        ('draft_model:k=3, model = "a,b" ', {"model": "a,b"}),
        pytest.param(f"draft_model:model={'[' * 100_000},k=3", {"model": "[" * 100_000}, id="nested deeply"),
    ],
)
def test_a_value_with_a_comma_is_quoted(text: str, options: dict[str, object]) -> None:
    spec = parse_lane_spec(text)
    assert (spec.k_max, spec.options) == (3, options)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--headless"],
        ["run", "--json"],
        ["run"],
        ["replay", "TRACE"],
        ["replay", "TRACE", "--headless"],
        ["replay", "TRACE", "--json"],
        ["shot", "TRACE"],
        ["cast", "TRACE"],
        ["serve", "TRACE"],
    ],
    ids=" ".join,
)
def test_an_unknown_theme_is_wrong_usage_everywhere(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "apply_or_reexec", lambda gpu: None)
    trace = file_of(tmp_path / "run.jsonl", made_run(7))
    assert cli.main([word.replace("TRACE", str(trace)) for word in words] + ["--theme", "midnigth"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (f"spectui {words[0]}: --theme: Unknown theme 'midnigth': did you mean 'midnight'?\n")
