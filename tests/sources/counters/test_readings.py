"""From what servers answer at /metrics to counters: the three servers, and answers that make no sense."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.protocol.serving import CounterSample
from spectui.sources.counters.exposition import MOST_BYTES, MOST_LINE
from spectui.sources.counters.readings import Reading, read
from spectui.sources.counters.values import MOST, MalformedError
from tests.sources.counters.answers import LLAMA, LLAMA_DRAFTS, LLAMA_IDLE, SGLANG, VLLM, VLLM_DRAFTS

PLAIN = "text/plain; version=0.0.4; charset=utf-8"


def reading(text: str, content_type: str = PLAIN) -> Reading:
    return read(text.encode(), content_type)


NO_DRAFTER = CounterSample(
    "", 0, emitted=5000, prompt_tokens=1200, running=3, waiting=1, cache_share=0.25, accepted_at=()
)
DRAFTS = replace(NO_DRAFTER, drafts=2000, drafted=5900, accepted=2950, accepted_at=(1500, 900, 550))


def test_vllm_without_a_drafter_counts_no_drafts_rather_than_zero() -> None:
    assert reading(VLLM) == Reading("vllm", NO_DRAFTER, 1.79e9, 1, "demo", 0)


def test_vllm_with_a_drafter() -> None:
    assert reading(VLLM + VLLM_DRAFTS) == Reading("vllm", DRAFTS, 1.79e9, 1, "demo", 3)


def test_vllm_that_drafts_and_accepts_nothing_counts_zero() -> None:
    none = "\n".join(line.rpartition(" ")[0] + " 0.0" for line in VLLM_DRAFTS.splitlines() if line[0] != "#")
    found = reading(VLLM + none + "\n")
    assert (found.sample.drafts, found.sample.accepted, found.sample.accepted_at) == (0, 0, (0, 0, 0))
    assert found.k == 3


def test_engines_of_one_server_are_summed_and_their_cache_is_averaged() -> None:
    second = (VLLM + VLLM_DRAFTS).replace('engine="0"', 'engine="1"').replace(" 0.25", " 0.75")
    both = reading(VLLM + VLLM_DRAFTS + second.partition("1.79e+09\n")[2])
    assert both.engines == 2
    assert both.sample == CounterSample(
        "",
        0,
        drafts=4000,
        drafted=11800,
        accepted=5900,
        accepted_at=(3000, 1800, 1100),
        emitted=10000,
        prompt_tokens=2400,
        running=6,
        waiting=2,
        cache_share=0.5,
    )


def test_sglang_states_length_rate_and_throughput() -> None:
    assert reading(SGLANG) == Reading(
        "sglang",
        CounterSample(
            "",
            0,
            emitted=1000,
            prompt_tokens=80,
            length=2.75,
            rate=0.35,
            running=4,
            waiting=2,
            cache_share=0.5,
            tok_s=321.5,
        ),
        model="demo",
        k=5,
    )


def test_sglang_without_a_drafter_says_zero_and_means_nothing() -> None:
    plain = SGLANG.replace("2.75", "0.0").replace("0.35", "0.0").replace(" 5.0", " 0.0")
    found = reading(plain)
    assert (found.sample.length, found.sample.rate, found.k) == (None, None, None)


def test_ranks_of_one_sglang_engine_report_the_same_and_other_engines_add_to_it() -> None:
    lines = [line for line in SGLANG.splitlines() if "_rank=" in line]
    same = "\n".join(line.replace('tp_rank="0"', 'tp_rank="1"') for line in lines)
    other = "\n".join(line.replace('tp_rank="0"', 'tp_rank="2",dp_rank="1"') for line in lines)
    found = reading(f"{SGLANG}{same}\n{other}\n".replace(" 2.75", " 2.25", 1))
    assert (found.sample.running, found.sample.tok_s, found.sample.cache_share) == (8, 643.0, 0.5)
    assert found.sample.length == 2.75


def test_llama_cpp_with_drafts() -> None:
    assert reading(LLAMA + LLAMA_DRAFTS) == Reading(
        "llama.cpp",
        CounterSample(
            "",
            0,
            drafts=100,
            drafted=400,
            accepted=300,
            accepted_at=(90, 80),
            emitted=640,
            prompt_tokens=55,
            running=2,
            waiting=1,
        ),
    )


@pytest.mark.parametrize("drafts", ["", LLAMA_IDLE])
def test_llama_cpp_that_has_not_drafted_may_have_no_drafter(drafts: str) -> None:
    found = reading(LLAMA + drafts)
    assert (found.sample.drafts, found.sample.drafted, found.sample.accepted) == (None, None, None)
    assert (found.sample.emitted, found.k) == (640, None)


def test_other_programs_are_unknown() -> None:
    assert reading("# TYPE go_gc gauge\ngo_gc 1\nnode:load 2\n") == Reading("unknown")
    assert reading("") == Reading("unknown")


def test_a_sample_that_is_not_a_number_is_unknown() -> None:
    found = reading(VLLM.replace(" 0.25", " NaN"))
    assert found.sample == replace(NO_DRAFTER, cache_share=None)


def test_a_share_above_one_is_unknown() -> None:
    assert reading(VLLM.replace(" 0.25", " 25.0")).sample.cache_share is None


@pytest.mark.parametrize(
    "text",
    [
        VLLM.replace(" 5.0e+03", " -1"),
        VLLM.replace(" 5.0e+03", " +Inf"),
        VLLM.replace(" 5.0e+03", " 1e300"),
        VLLM.replace(" 5.0e+03", " lots"),
        VLLM.replace(" 5.0e+03", " \u0663"),
        VLLM.replace(" 5.0e+03", ""),
        VLLM.replace('engine="0",model', 'engine="0,model'),
        VLLM + 'vllm:generation_tokens_total{engine="0",model_name="demo"} 5001\n',
        VLLM + 'vllm:generation_tokens_total{model_name="demo",engine="0"} 5001\n',
        VLLM + VLLM_DRAFTS.replace('position="1"', 'position="x"'),
        VLLM + VLLM_DRAFTS.replace('position="1"', 'position="-1"'),
        VLLM + VLLM_DRAFTS.replace('position="1"', 'position="999"'),
        VLLM + VLLM_DRAFTS.replace('position="1"', 'position="99999999999"'),
        VLLM + VLLM_DRAFTS.replace('position="1"', 'position="²"'),
        VLLM + f'vllm:prompt_tokens_total{{engine="{"7" * MOST_LINE}"}} 1\n',
        VLLM + "".join(f'vllm:prompt_tokens_total{{engine="{n:0>1000}"}} 1\n' for n in range(600)),
        VLLM + "x" * MOST_BYTES,
    ],
)
def test_an_answer_of_which_a_part_makes_no_sense_is_dropped_whole(text: str) -> None:
    with pytest.raises(MalformedError):
        reading(text)


@pytest.mark.parametrize("content_type", ["text/html", "application/json", "image/png", "text/plainer"])
def test_other_kinds_of_content_are_none_of_metrics(content_type: str) -> None:
    with pytest.raises(MalformedError):
        reading(VLLM, content_type)


def test_bytes_that_are_no_text_are_dropped() -> None:
    with pytest.raises(MalformedError):
        read(VLLM.encode() + b"\xff\xfe", PLAIN)


def believable(found: Reading) -> bool:
    """Whether every figure is within its bounds."""
    sample = found.sample
    counts = (sample.drafts, sample.drafted, sample.accepted, sample.emitted, sample.prompt_tokens, *sample.accepted_at)
    return all(count is None or 0 <= count <= MOST for count in (*counts, sample.running, sample.waiting)) and all(
        share is None or 0 <= share <= 1 for share in (sample.rate, sample.cache_share)
    )


@given(st.binary(max_size=2000), st.sampled_from([PLAIN, "", "application/openmetrics-text"]))
def test_no_bytes_break_the_reading(body: bytes, content_type: str) -> None:
    with suppress(MalformedError):
        assert believable(read(body, content_type))


WHOLE = VLLM + VLLM_DRAFTS + SGLANG + LLAMA + LLAMA_DRAFTS


@given(st.data())
def test_no_damage_breaks_the_reading(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([VLLM + VLLM_DRAFTS, SGLANG, LLAMA + LLAMA_DRAFTS, WHOLE]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 40)))
        new = data.draw(
            st.text(max_size=12) | st.sampled_from(["\n", "{", "}", '"', "\\", " -1", " 1e999", " NaN", "\0"])
        )
        text = text[:start] + new + text[end:]
    with suppress(MalformedError):
        assert believable(reading(text.encode(errors="replace").decode()))
