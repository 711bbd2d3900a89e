"""Published figures: reading them, finding the measured ones that belong beside them, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources

import pytest

from spectui.core.bench.beside import Beside, beside
from spectui.core.bench.matrix import Variant
from spectui.core.bench.published import PublishedError, Source, model_parts, read_published
from spectui.core.bench.results import LaneNote, Results
from spectui.protocol.events import LaneEngine
from tests.support.benchmarks import VARIANTS, made_up_matrix, made_up_results

pytestmark = pytest.mark.unit

TARGET = "google/gemma-4-31B-it"
MTP = [Variant("mtp", "mtp", "MTP", k) for k in (4, 6)]


def shipped() -> tuple[Source, ...]:
    data = resources.files("spectui.core.bench").joinpath("published.toml").read_bytes()
    return read_published(data, "published.toml")


def own(text: str) -> tuple[Source, ...]:
    return read_published(text.encode(), "own.toml")


def laid(results: Results, sources: Sequence[Source], method: str) -> list[Beside]:
    return [one for one in beside(results, sources) if one.method == method]


def differing(one: Beside) -> dict[str, tuple[str, str]]:
    return {differs.what: (differs.here, differs.there) for differs in one.differences}


def test_what_is_shipped_has_every_figure() -> None:
    figures = {
        (source.id, row.model, row.concurrency or source.conditions.concurrency, row.context, method): tok_s
        for source in shipped()
        for row in source.row
        for method, tok_s in row.tok_s.items()
    }
    h100, fp8 = "h100-speedbench-gemma4", "h100-fp8-mtp-diffusion"
    assert len(figures) == 4 * 3 + 5 * 2 + 1 + 6
    assert figures[h100, "gemma-4-31B-it", 1, None, "mtp"] == 125.3
    assert figures[h100, "gemma-4-26B-A4B-it", 16, None, "dflash"] == 1957
    assert figures[fp8, "Qwen3.6-35B-A3B", 1, 8192, "ar"] == 205
    assert figures[fp8, "diffusiongemma-26B-A4B", 1, None, "diffusion"] == 864
    first, second, *_ = shipped()
    assert first.conditions.k == {"mtp": 8, "dflash": 15}
    assert first.row[1].speedup_of("mtp") == pytest.approx(953 / 375)
    assert [row.equal for row in second.losslessness.row] == [{"ar": 12, "mtp": 3}, {"ar": 4, "mtp": 0}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[source", r"own.toml is not valid TOML: Expected"),
        ("schema = 1", r"begins with \[\[source\]\]"),
        ("schema = 2\n[[source]]\ntitle = 't'", "schema 2, known up to 1: update SpecTUI"),
        ("[[source]]\ntitle = 't'\n[[source.row]]\nmodel = 'm'\ntok_s = {ar = 'fast'}", "source 1, row 1, tok_s: exp"),
        ("[[source]]\ntitle = 't'\n[[source.row]]\nmodel = 'm'\ntok_s = {ar = 0}", "source 1, row 1, tok_s: exp"),
        ("[[source]]\ntitle = 't'\n[[source.row]]\nmodel = 'm'", "'m' of 't' has no figures"),
        ("[[source]]\ntitle = 't'\n[[source.row]]\ntok_s = {ar = 1}", "source 1, row 1: .*`?model`?"),
        ("[[source]]\nid = 'x'", "source 1: .*title"),
        ("source = 3", "source: expected array, got int"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(PublishedError, match=said) as caught:
        own(text)
    assert "\n" not in str(caught.value)
    assert "`" not in str(caught.value)


def test_unknown_keys_are_ignored() -> None:
    (source,) = own("[[source]]\ntitle = 't'\ncolour = 'red'\n[[source.row]]\nmodel = 'm'\ntok_s = {ar = 1}\nx = []")
    assert source.row[0].tok_s == {"ar": 1}


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (TARGET, ("gemma-4-31b", "")),
        ("gemma-4-31B", ("gemma-4-31b", "")),
        ("RedHatAI/gemma-4-31B-it-FP8-dynamic", ("gemma-4-31b", "FP8-dynamic")),
        ("nvidia/Qwen3.6-27B-NVFP4", ("qwen3.6-27b", "NVFP4")),
        ("/models/gemma-4-26B-A4B-it-AWQ/", ("gemma-4-26b-a4b", "AWQ")),
        ("google/gemma-4-12B-it-qat-w4a16-ct", ("gemma-4-12b", "qat-w4a16-ct")),
        ("gemma-4-31B-it-Q4_K_M.gguf", ("gemma-4-31b", "Q4_K_M-gguf")),
        ("/hub/models--google--gemma-4-31B-it/snapshots/0ab1", ("gemma-4-31b", "")),
    ],
)
def test_a_model_is_known_by_many_names(model: str, parts: tuple[str, str]) -> None:
    assert model_parts(model) == parts


def test_a_figure_gets_the_concurrency_and_k_that_are_nearest() -> None:
    matrix = made_up_matrix(concurrencies=(1, 8), variants=(VARIANTS[0], *MTP))
    results = made_up_results(matrix, target=TARGET)
    first, second = laid(results, shipped()[:1], "mtp")
    assert (first.cell.concurrency, first.cell.variant.k, first.cell.category) == (1, 6, None)
    assert (first.published, first.published_speedup) == (125.3, 3.11)
    assert first.measured == first.cell.figures.output_throughput
    assert first.measured is not None
    assert first.ratio == pytest.approx(first.measured / 125.3)
    assert differing(first)["K"] == ("6", "8")
    assert "requests in flight" not in differing(first)
    assert (second.cell.concurrency, second.row.concurrency) == (8, 16)
    assert differing(second)["requests in flight"] == ("8", "16")


def test_an_automatic_k_is_no_published_k() -> None:
    auto = Variant("mtp", "mtp", "MTP", 8, auto=True)
    results = made_up_results(made_up_matrix(concurrencies=(1,), variants=(VARIANTS[0], MTP[0], auto)), target=TARGET)
    (fixed,) = laid(results, shipped()[:1], "mtp")
    assert (fixed.cell.variant, differing(fixed)["K"]) == (MTP[0], ("4", "8"))
    results = made_up_results(made_up_matrix(concurrencies=(1,), variants=(VARIANTS[0], auto)), target=TARGET)
    (alone,) = laid(results, shipped()[:1], "mtp")
    assert (alone.cell.variant, differing(alone)["K"]) == (auto, ("auto", "8"))


def test_a_concurrency_that_another_row_is_nearer_to_is_not_used_twice() -> None:
    results = made_up_results(made_up_matrix(concurrencies=(1,)), target=TARGET)
    assert [one.row.concurrency for one in laid(results, shipped()[:1], "ar")] == [1]


def test_a_model_that_was_published_in_two_formats_is_compared_with_both() -> None:
    row = "[[source.row]]\nconcurrency = 1\n"
    sources = own(
        f"[[source]]\ntitle = 't'\n{row}model = 'M-1B'\ntok_s.ar = 4\n{row}model = 'M-1B-FP8'\ntok_s.ar = 7\n"
    )
    plain, quantised = laid(made_up_results(target="x/M-1B-Instruct"), sources, "ar")
    assert [(one.published, one.cell.concurrency) for one in (plain, quantised)] == [(4, 1), (7, 1)]


def test_padded_prompts_are_compared_with_padded_ones_only() -> None:
    results = made_up_results(made_up_matrix(concurrencies=(1,), contexts=(None, 4096)), target=TARGET)
    short, long = laid(results, shipped()[1:2], "ar")
    assert (short.row.context, short.cell.context) == (None, None)
    assert (long.row.context, long.cell.context) == (8192, 4096)
    assert differing(long)["context"] == ("4096 tokens", "8192 tokens")
    note = replace(results.header.prompts, padded={"coding": 3, "math": 3})
    results = replace(results, header=replace(results.header, prompts=note))
    stated = tuple(replace(one, conditions=replace(one.conditions, prompts=880)) for one in shipped()[1:2])
    short, long = laid(results, stated, "ar")
    assert differing(short)["prompts"][0] == "60 prompts of the built-in set in 3 categories"
    assert differing(long)["prompts"][0] == "6 prompts of the built-in set in 2 categories"
    results = made_up_results(made_up_matrix(concurrencies=(1, 4)), target=TARGET)
    assert [one.row.context for one in laid(results, shipped()[1:2], "ar")] == [None]


def test_the_fastest_k_stands_where_the_source_states_none() -> None:
    results = made_up_results(made_up_matrix(concurrencies=(1,), variants=(VARIANTS[0], *MTP)), target=TARGET)
    (one,) = laid(results, shipped()[1:2], "mtp")
    rates = [cell.figures.output_throughput or 0 for cell in results.pooled if cell.variant.method == "mtp"]
    assert one.measured == max(rates)
    assert "K" in one.not_stated


def test_conditions_that_differ_are_named_and_those_that_do_not_are_not() -> None:
    results = made_up_results(made_up_matrix(concurrencies=(1,)), target="RedHatAI/gemma-4-31B-it-FP8-dynamic")
    engine = LaneEngine("mtp", "cuda", scheduling="synchronous", dtype="bfloat16", quantization="compressed-tensors")
    header = replace(
        results.header,
        device="NVIDIA H100 80GB HBM3",
        lanes=tuple(replace(note, engine=replace(engine, lane=note.lane)) for note in results.header.lanes),
    )
    natural, fixed = laid(replace(results, header=header), shipped(), "mtp")
    assert "device" not in differing(natural)
    assert differing(natural)["weight quantisation"] == ("FP8-dynamic", "not stated")
    assert differing(natural)["protocol"] == ("fixed", "natural")
    assert "synchronous" in differing(natural)["scheduling"][0]
    assert "temperature" not in differing(natural)
    assert "weight quantisation" not in differing(fixed)
    assert differing(fixed)["completion tokens"] == ("128", "512")
    assert {"dtype", "temperature"} <= set(fixed.not_stated)
    part = replace(header, device="NVIDIA H100 80GB HBM3 MIG 1g.10gb")
    assert "device" in differing(laid(replace(results, header=part), shipped()[:1], "mtp")[0])


def test_a_diffusion_lane_is_of_its_own_model() -> None:
    diffusion = Variant("diffusion", "diffusion", "diffusion", 0)
    matrix = made_up_matrix(concurrencies=(1,), variants=(VARIANTS[0], diffusion))
    results = made_up_results(matrix, target="google/gemma-4-26B-A4B-it")
    notes = (results.header.lanes[0], LaneNote("diffusion", "diffusion:model=google/diffusiongemma-26B-A4B-it"))
    results = replace(results, header=replace(results.header, lanes=notes))
    assert [(one.row.model, one.published) for one in laid(results, shipped(), "diffusion")] == [
        ("diffusiongemma-26B-A4B", 864)
    ]


def test_another_model_or_method_has_nothing_beside_it() -> None:
    assert beside(made_up_results(), shipped()) == ()
    matrix = made_up_matrix(variants=(Variant("draft_model", "draft_model", "draft model", 3),))
    assert beside(made_up_results(matrix, target=TARGET), shipped()) == ()
