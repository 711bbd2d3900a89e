"""Published figures beside measured ones, as a reader sees them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from spectui.bench.published import compare_published, published_sources
from spectui.bench.reports.content import report
from spectui.bench.reports.document import Table
from spectui.bench.reports.foreign import read_markdown
from spectui.bench.reports.html import page
from spectui.core.bench.codec import read_results, results_json
from spectui.core.bench.matrix import Variant
from spectui.core.lossless.greedy import GreedyLane, Losslessness, Parting
from spectui.errors import UsageError
from tests.support.benchmarks import VARIANTS, made_up_matrix, made_up_results

AR = VARIANTS[0]
DRAFTING = (Variant("mtp", "mtp", "MTP", 8), Variant("dflash", "dflash", "DFlash", 15))


def test_a_table_has_the_measured_row_under_the_published_one() -> None:
    results = made_up_results(made_up_matrix(variants=(AR, *DRAFTING)), target="google/gemma-4-31B-it")
    markdown, lines = compare_published(results, published_sources("published"))
    ar, mtp = (cell.figures for cell in results.pooled[:2])
    assert mtp.speedup is not None
    rows = [row for row in markdown.splitlines() if row.startswith("|")]
    assert rows[0] == "| requests in flight | tok/s | AR | MTP | DFlash | MTP speed-up | DFlash speed-up |"
    assert rows[2] == "| 1 | published | 40.3 | 125.3 | 122.1 | 3.11x | 3.03x |"
    assert rows[3].startswith(f"| 1 | measured | {ar.output_throughput:.1f} | {mtp.output_throughput:.1f} (K=8) |")
    assert f"{mtp.speedup:.2f}x ({mtp.speedup_ci_low:.2f} to {mtp.speedup_ci_high:.2f})" in rows[3]
    assert rows[4].split(" | ")[5] == f"{mtp.speedup / 3.11:.2f}"
    assert "- protocol: fixed here; published: natural." in markdown
    assert "- requests in flight (AR at 16, MTP at 16, DFlash at 16): 4 here; published: 16." in markdown
    assert "Acceptance of the first drafted token: MTP .80 published, .5" in markdown
    text = "\n".join(lines)
    assert "1                   published             40.3" in text
    assert "AR again 12 of 12, MTP 3 of 12; the others differ first at tokens 483 to 801." in " ".join(text.split())
    assert "recommended K for MTP: 4-8" in " ".join(text.split())
    assert max(map(len, lines)) <= 120


def test_an_automatic_k_is_named_as_one() -> None:
    auto = Variant("mtp", "mtp", "MTP", 8, auto=True)
    results = made_up_results(made_up_matrix(variants=(AR, auto)), target="google/gemma-4-31B-it")
    markdown = compare_published(results, published_sources("published"))[0]
    assert " (K=auto) |" in markdown
    assert "(K=8)" not in markdown
    assert "K (MTP): auto here; published: 8." in markdown


def test_the_section_is_read_by_the_report() -> None:
    results = made_up_results(made_up_matrix(variants=(AR, *DRAFTING)), target="google/gemma-4-31B-it")
    blocks = read_markdown(compare_published(results, published_sources("published"))[0])
    first, second = [block for block in blocks if isinstance(block, Table)]
    assert (first.named, first.rows[0][:3]) == (2, ("1", "published", "40.3"))
    assert second.head[-1] == "MTP speed-up"
    assert "MTP K=8, DFlash K=15" in page(
        report(results, compared=compare_published(results, published_sources("published"))[0])
    )


def test_equal_answers_stand_beside_the_published_ones() -> None:
    results = made_up_results(target="google/gemma-4-31B-it")
    partings = (Parting(3, "coding", "Write a function", 40, margin=0.1, behind=0.1),)
    lanes = (GreedyLane("ar", "AR", True, 20, 640), GreedyLane("mtp", "MTP", False, 20, 600, partings=partings))
    greedy = asdict(Losslessness(lanes, tokens=32, concurrency=1))
    results = read_results(results_json(replace(results, lossless=greedy)))
    assert "Measured: AR again 20 of 20, MTP 19 of 20." in compare_published(results, published_sources("published"))[0]


def test_a_model_without_figures_is_said_to_have_none() -> None:
    markdown, lines = compare_published(made_up_results(), published_sources("published"))
    assert markdown.startswith(
        "No published figures for SmolLM2-135M-Instruct. There are figures for gemma-4-31B-it, gemma"
    )
    assert " ".join(lines) == markdown.strip()
    other = made_up_matrix(variants=(Variant("ngram", "ngram", "n-gram", 5),))
    said = compare_published(made_up_results(other, target="google/gemma-4-12B-it"), published_sources("published"))[0]
    assert said.startswith(
        "No published figures for the lanes of gemma-4-12B-it that were measured. There are figures for AR"
    )


def test_a_file_of_ones_own_is_compared_with(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[[source]]\ntitle = 'Mine | yours'\n[[source.row]]\nmodel = 'SmolLM2-135M'\ntok_s = {ar = 42.5}\n")
    markdown, _ = compare_published(made_up_results(), published_sources(str(path)))
    assert "### SmolLM2-135M: Mine \\| yours" in markdown
    assert "| — | published | 42.5 |" in markdown


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file"), ("x", "not valid TOML"), ("x = 1", "no published fig")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "own.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        compare_published(made_up_results(), published_sources(str(path)))
    assert "own.toml" in str(caught.value)
