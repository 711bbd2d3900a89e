"""The files of a benchmark: what is in them, and that they are whole at any moment."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from spectui.bench.reports import writing
from spectui.bench.reports.content import report
from spectui.bench.reports.document import Chart, Heading, Table, plain
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.spreadsheet import NAMES, results_csv, scalar_figures
from spectui.core.bench.codec import read_results
from spectui.core.bench.matrix import Variant
from spectui.core.bench.results import LaneNote, Results
from spectui.protocol.events import LaneEngine
from tests.bench.reports.making import CASES, unfinished
from tests.support.benchmarks import VARIANTS, made_up_matrix, made_up_results

FILES = {"results.json", "results.csv", "report.md", "report.html", "charts"}


def written(results: Results, **options: str | bool) -> str:
    """The report in Markdown."""
    return markdown(report(results, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", [case for case in CASES if case != "hostile"])
def test_all_files_are_there_and_the_results_can_be_read_again(case: str, tmp_path: Path) -> None:
    results = CASES[case]()
    writing.write_reports(results, tmp_path / "deep" / "down")
    folder = tmp_path / "deep" / "down"
    assert {path.name for path in folder.iterdir()} == FILES
    assert read_results((folder / "results.json").read_bytes()) == results
    shown = re.findall(r"^!\[.*\]\((charts/.*)\)$", (folder / "report.md").read_text(), re.M)
    assert sorted(shown) == sorted(f"charts/{path.name}" for path in (folder / "charts").iterdir())
    assert len(shown) == len(set(shown))


def test_a_write_that_fails_leaves_the_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.write_reports(made_up_results(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def broken(path: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="no space"):
        writing.write_reports(made_up_results(seed=1), tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_the_spreadsheet_has_a_row_for_each_cell_and_then_for_each_variant() -> None:
    results = CASES["small"]()
    rows = list(csv.DictReader(results_csv(results).splitlines()))
    assert list(rows[0]) == [*NAMES, *scalar_figures(), "position_1", "position_2", "position_3"]
    assert [row["category"] for row in rows] == [cell.category or "" for cell in (*results.cells, *results.pooled)]
    for row, cell in zip(rows, (*results.cells, *results.pooled), strict=True):
        assert (row["variant"], int(row["k"]), row["context"]) == (cell.variant.name, cell.variant.k, "")
        for name in scalar_figures():
            value = getattr(cell.figures, name)
            assert row[name] == ("" if value is None else str(value))
        shares = cell.figures.spec_decode_per_position_acceptance_rates
        assert [row[f"position_{one}"] for one in (1, 2, 3)] == [*map(str, shares), *[""] * (3 - len(shares))]
    assert {"engine_steps", "speedup_ci_low", "estimated_mbu"} <= set(scalar_figures())


def test_the_spreadsheet_calls_an_automatic_k_by_its_name() -> None:
    variants = (*VARIANTS[:2], Variant("mtp", "mtp", "MTP", 2, auto=True))
    rows = list(csv.DictReader(results_csv(made_up_results(made_up_matrix(variants=variants))).splitlines()))
    ks = {(row["variant"], row["k"]) for row in rows}
    assert ks == {("ar", "0"), ("mtp K=2", "2"), ("mtp K=auto", "auto")}


def table_below(blocks: tuple[object, ...], heading: str) -> Table:
    """The first table below a heading."""
    place = next(at for at, one in enumerate(blocks) if isinstance(one, Heading) and plain(one.text) == heading)
    return next(one for one in blocks[place:] if isinstance(one, Table))


def test_the_headline_is_laid_out_like_the_published_tables() -> None:
    results = made_up_results()
    table = table_below(report(results), "Throughput and speed-up")
    assert [plain(cell) for cell in table.head] == [
        *("in flight", "AR tok/s", "MTP K=2 tok/s", "speed-up", "DFlash K=3 tok/s", "speed-up")
    ]
    ar, mtp, _ = (cell.figures for cell in results.pooled[:3])
    first = [plain(cell) for cell in table.rows[0]]
    assert first[:3] == ["1", f"{ar.output_throughput:.1f}", f"{mtp.output_throughput:.1f}"]
    assert first[3] == f"{mtp.speedup:.2f}x ({mtp.speedup_ci_low:.2f} to {mtp.speedup_ci_high:.2f})"
    assert [plain(row[0]) for row in table.rows] == ["1", "4"]


def test_no_table_is_wider_than_a_page() -> None:
    for case in ("small", "wide", "sweep"):
        tables = [one for one in report(CASES[case](), naive=True) if isinstance(one, Table)]
        assert max(len(one.head) for one in tables) <= 12, case
        assert {len(row) for one in tables for row in one.rows if len(row) != len(one.head)} == set()


def test_two_lanes_that_are_called_alike_are_told_apart() -> None:
    table = table_below(report(CASES["sweep"]()), "Throughput and speed-up")
    names = [plain(row[0]) for row in table.rows]
    assert len(set(names)) == len(names) == 25
    assert "dflash K=7" in names
    assert "DFlash K=6" in names


def test_the_caveats_of_the_figures_are_said() -> None:
    assert "No caveats: every cell is finished" in written(made_up_results())
    results = made_up_results()
    cells = list(results.cells)
    cells[1] = replace(cells[1], figures=replace(cells[1].figures, disturbed=2, disagreements=("steps: 5 and 6",)))
    lanes = (
        *results.header.lanes[:2],
        LaneNote("dflash", "dflash", not_comparable="runs on V1, AR on V2: not comparable"),
    )
    doubtful = replace(
        results,
        cells=tuple(cells),
        repeated=3,
        left_out=("left out to keep to the budget: mtp K=4",),
        header=replace(results.header, lanes=lanes),
        smoke={"mtp": {"fault": "its answers repeat one token"}},
    )
    said = written(doubtful)
    for sentence in (
        "measured again, 3 times in all; only the last measurement of each counts.",
        "2 repetitions in 1 cell were still disturbed by other programs when measured again, or could not be, and are "
        "included in the figures: MTP K=2 (coding, 1 in flight)",
        "**Counts differ from vLLM's**: MTP K=2 (coding, 1 in flight): steps: 5 and 6.",
        "- Left out to keep to the budget: mtp K=4.",
        "**Not comparable**: `dflash` runs on V1, AR on V2: not comparable.",
        "**Smoke test** of `mtp`: its answers repeat one token.",
    ):
        assert sentence in said, sentence
    assert " ≠ |" in said
    assert " † |" in said
    assert "No caveats" not in said
    assert "none (0)" not in said
    assert "measured again because other programs disturbed them: none (0)." in written(replace(doubtful, repeated=0))


def judged(*speedups: tuple[float, float, float], disturbed: int = 0) -> str:
    """The sentence about one request in flight, with drafting lanes at these speed-ups and intervals over AR's 50."""
    results = made_up_results()
    figures = [results.pooled[0].figures] + [
        replace(
            results.pooled[0].figures,
            output_throughput=50 * ratio,
            speedup=ratio,
            speedup_ci_low=low,
            speedup_ci_high=high,
            disturbed=disturbed,
        )
        for ratio, low, high in speedups
    ]
    figures[0] = replace(figures[0], output_throughput=50.0)
    pooled = [replace(cell, figures=own) for cell, own in zip(results.pooled[:3], figures, strict=True)]
    said = written(replace(results, pooled=(*pooled, *results.pooled[3:])))
    return next(line for line in said.splitlines() if line.startswith("- 1 in flight: "))[len("- 1 in flight: ") :]


def test_a_lane_is_called_faster_or_slower_only_if_the_interval_says_so() -> None:
    unsure, slow, fast = (0.98, 0.51, 1.96), (0.8, 0.7, 0.9), (1.5, 1.4, 1.6)
    assert judged(fast, (1.2, 1.1, 1.3)) == (
        "**MTP K=2 has the highest throughput**, 75.0 tok/s, 1.50x AR (95 % interval 1.40 to 1.60)."
    )
    assert judged(fast, (1.6, 0.9, 2.4)).startswith("**MTP K=2 is faster than AR**, 75.0 tok/s, 1.50x AR")
    assert judged(slow, (0.7, 0.6, 0.8)) == (
        "**AR is the fastest**, 50.0 tok/s; the fastest drafting lane, MTP K=2, reaches 0.80x AR (95 % interval 0.70 "
        "to 0.90)."
    )
    assert judged(slow, unsure) == (
        "**no clear winner**. AR 50.0 tok/s; DFlash K=3, the fastest drafting lane, 49.0 tok/s, 0.98x AR (95 % "
        "interval 0.51 to 1.96)."
    )
    assert judged(fast, slow, disturbed=1).endswith("1.40 to 1.60); measured on a disturbed machine †.")


def test_what_keeps_the_requests_in_flight_is_said() -> None:
    results = made_up_results()
    assert "A repetition has as many requests as are in flight. All start together" in written(results)
    more = replace(results, matrix=replace(results.matrix, requests=4))
    assert "A repetition has 4 requests, never fewer than are in flight. When one ends, the next begins" in written(
        more
    )
    single = replace(results, matrix=replace(results.matrix, blocks=results.matrix.blocks[:1]))
    assert "A repetition has one request. Each" in written(single)


def test_a_lane_without_a_drafter_has_no_vocabulary_of_its_own() -> None:
    results = made_up_results()
    engines = (LaneEngine("ar"), LaneEngine("mtp", draft_vocabulary=32_000), LaneEngine("dflash"))
    notes = tuple(replace(note, engine=engine) for note, engine in zip(results.header.lanes, engines, strict=True))
    said = written(replace(results, header=replace(results.header, lanes=notes)))
    assert "| drafter's vocabulary | — | 32,000 | — |" in said


def test_a_benchmark_that_is_not_finished_says_so() -> None:
    said = written(unfinished(12))
    assert "**Not finished: some of the cells are still to be measured.**" in said
    assert "12 of 18 cells are measured" in said
    assert "cover only those finished so far: 4 in flight, 1 of 3." in said
    assert "Not finished" not in written(unfinished(18))


def test_energy_and_bandwidth_are_shown_only_where_they_are_known() -> None:
    said = written(made_up_results())
    assert "| est. MBU |" in said
    assert "J per token is unknown (no GPU: energy is read from NVIDIA's driver)." in said
    results = made_up_results()
    pooled = tuple(replace(one, figures=replace(one.figures, energy_per_token_j=1.25)) for one in results.pooled)
    assert "| J per token | est. MBU |" in written(replace(results, pooled=pooled))


def test_the_column_of_the_chunk_counting_meter_is_there_when_asked_for() -> None:
    results = made_up_results()
    assert "chunk-counting" not in written(results)
    table = table_below(report(results, naive=True), "What a chunk-counting meter would say")
    mtp = results.pooled[1].figures
    assert [plain(cell) for cell in table.rows[0]] == [
        *("1", "MTP K=2", f"{mtp.output_throughput:.1f}", f"{mtp.naive_throughput:.1f}"),
        *(f"{mtp.speedup:.2f}x", f"{mtp.naive_speedup:.2f}x"),
    ]
    assert mtp.naive_speedup is not None
    assert mtp.naive_speedup < 1 < (mtp.speedup or 0)


def test_sections_by_others_are_put_in_as_they_are() -> None:
    said = written(made_up_results(), lossless_markdown="| a |\n|---|\n| 1 |", compared="## Beside others\n\nWords.")
    assert "## Losslessness\n\n| a |\n|---|\n| 1 |\n" in said
    assert "## Beside others\n\nWords.\n" in said
    assert "Published figures" not in said
    assert "Not checked in this run" not in said
    assert "Not checked in this run; `--lossless`" in written(made_up_results())


def test_everything_that_repeats_the_run_is_in_the_report() -> None:
    results = made_up_results()
    said = written(results)
    for needed in (
        "```\nspectui bench --lane ar --lane mtp:k=2 --lane dflash:k=3 --concurrency 1,4 --out results\n```",
        results.header.prompts.digest,
        "SpecTUI 0.1.0 and vLLM 0.32.0",
        "| `OMP_NUM_THREADS` | `2` |",
        "exactly 128 completion tokens",
        "AR, MTP K=2, DFlash K=3, then DFlash K=3, MTP K=2, AR",
        "| `max_model_len` | 2,048 tokens |",
        "| coding | 20 | 3 / 12 |",
        "`dflash:k=3`",
        "temperature 0 (greedy)",
    ):
        assert needed in said, needed
    cells = (replace(results.cells[0], traces=("traces/coding-1-ar.jsonl",)), *results.cells[1:])
    recorded = written(replace(results, cells=cells))
    assert "for example `traces/coding-1-ar.jsonl`; `spectui replay` shows" in recorded
    assert "spectui replay" not in said
    matrix = replace(
        results.matrix, protocol="natural", sampling=replace(results.matrix.sampling, temperature=0.7, seed=3)
    )
    natural = written(replace(results, matrix=matrix))
    assert "every answer runs to its own end (EOS), at most 128 completion tokens" in natural
    assert "temperature 0.7, `seed=3`." in natural


def test_what_a_run_knows_of_its_code_lanes_and_prompts_is_said() -> None:
    results = made_up_results()
    older = written(results)
    assert "git checkout" not in older
    assert "commit" not in older
    assert "| K is |" not in older
    assert "| SHA-256 |" not in older
    assert "SpecTUI sets those under Environment itself, unless they are set already." in older
    header = replace(
        results.header,
        environment={
            **results.header.environment,
            "commit": f"{'a1' * 20} with changes",
            "memory": "25.3 GB",
            "processor_features": "avx2, avx512f",
            "set_by_user": ["OMP_NUM_THREADS"],
        },
        lanes=(
            results.header.lanes[0],
            replace(results.header.lanes[1], k_source="tuned", drafter="/tmp/x/demos/drafters/weights/mtp"),
            replace(results.header.lanes[2], k_source="yours", drafter="/models/weights/dflash"),
        ),
        prompts=replace(results.header.prompts, digests={"coding": "c0" * 32, "math": "", "writing": ""}),
    )
    said = written(replace(results, header=header))
    for needed in (
        f"| SpecTUI | 0.1.0, commit {'a1' * 20} with changes |",
        "`git checkout a1a1a1a1a1a1`, then `make setup ROUTE=cpu`",
        "The code had changes that are in no commit",
        "| memory | 25.3 GB |",
        "| instruction sets | avx2, avx512f |",
        "`OMP_NUM_THREADS=2` was set before SpecTUI started: set it too.",
        "| `mtp` | MTP | 2 | from a search on that machine | `mtp:k=2` | the demo's MTP drafter, shipped with ",
        "| `dflash` | DFlash | 3 | from the command | `dflash:k=3` | `/models/weights/dflash` |",
        "| coding | 20 | 3 / 12 | `c0c0c0c0c0c0` |",
        "`SPECTUI_DEMO_DTYPE=bfloat16`",
    ):
        assert needed in said, needed
    assert "/tmp/x" not in said
    assert "SPECTUI_DEMO_DTYPE" not in written(made_up_results(target="another"))


def test_the_counts_of_every_cell_are_at_the_end() -> None:
    results = made_up_results()
    table = table_below(report(results), "Steps with a draft / drafted / accepted, 4 in flight")
    cell = next(
        one for one in results.cells if (one.concurrency, one.category, one.variant.name) == (4, "math", "mtp K=2")
    )
    counted = cell.figures
    expected = " / ".join(
        f"{count:,}"
        for count in (
            counted.spec_decode_num_drafts,
            counted.spec_decode_draft_tokens,
            counted.spec_decode_accepted_tokens,
        )
    )
    assert [plain(one) for one in table.rows[1][:2]] == ["math", expected]
    assert "## Counts" not in written(CASES["alone"]())
    assert "## Counts" not in written(CASES["plain"]())


def test_charts_are_named_in_words_for_those_who_do_not_see_them() -> None:
    charts = [one for one in report(CASES["wide"]()) if isinstance(one, Chart)]
    assert [one.name for one in charts] == [
        *("speedup", "by-category-1", "by-category-4", "by-category-16", "acceptance", "step-time")
    ]
    assert all(len(one.alt) > 20 for one in charts)
