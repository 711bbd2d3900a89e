"""The evaluation goes on where it was stopped, and the report says what was measured."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from demos.drafters import manifest
from demos.drafters.card import card
from demos.drafters.evaluate import Checked, by_category, check_prompts, per_category, worse_by
from demos.drafters.prompts import CATEGORIES, heldout_prompts
from demos.drafters.recipe import BAR_K
from demos.drafters.report import Evaluation, best_lane
from demos.drafters.report_text import report_text
from demos.drafters.timing import Diary, Timing, case_name, first_difference
from demos.drafters.walk import Acceptance
from spectui.bench.harness import Measurement, Sample
from spectui.sources.hardware import NUMBER_FORMATS

LANES = ("ar", "mtp:k=1", "mtp:k=2", "dflash:k=3")
SECONDS = {"ar": 3.0, "mtp:k=1": 2.0, "mtp:k=2": 2.5, "dflash:k=3": 1.5}


def timing() -> Timing:
    prompts = tuple(per_category(heldout_prompts(), 1))
    measured = Measurement()
    for lane in LANES:
        for number in range(len(prompts)):
            measured.samples[case_name(lane, number)] = [Sample(128, SECONDS[lane] * turn) for turn in (1.0, 1.1)]
    ids = {lane: {number: [5, 6, 7] for number in range(len(prompts))} for lane in LANES}
    ids["mtp:k=1"][0] = [5, 6, 8]
    steps = {case_name(lane, number): 64 for lane in LANES for number in range(len(prompts))}
    return Timing(prompts, LANES, measured, ids, steps)


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "diary.jsonl"
    first = Diary(path)
    assert [first.run("a", lambda n=n: {"n": n})["n"] for n in range(2)] == [0, 1]
    with path.open("a") as file:
        file.write('{"case": "a", "n": 2')
    again = Diary(path)
    assert again.has(["a"], 2)
    assert not again.has(["a"], 3)
    assert [again.run("a", lambda: {"n": 9})["n"] for _ in range(3)] == [0, 1, 9]
    assert Diary(path).has(["a"], 3)


@pytest.mark.parametrize(
    ("ids", "others", "position"), [([1, 2], [1, 2], None), ([1, 2], [3, 2], 1), ([1, 2, 3], [1, 2, 4], 3)]
)
def test_the_first_difference_counts_from_1(ids: list[int], others: list[int], position: int | None) -> None:
    assert first_difference(ids, others) == position


def test_samples_are_summed_over_prompts_turn_by_turn() -> None:
    measured = timing()
    name = measured.pool("mtp:k=1", ("coding", "math"))
    assert measured.measurement.samples[name] == [Sample(256, 4.0), Sample(256, pytest.approx(4.4))]
    assert measured.step_seconds("ar") == pytest.approx(3.0 * 2.1 / 128)
    assert best_lane(measured, LANES, "mtp") == "mtp:k=1"


def test_acceptance_by_category_adds_up() -> None:
    prompts = per_category(heldout_prompts(), 2)
    found = by_category(prompts, [Acceptance(4, [2, n % 2]) for n in range(len(prompts))])
    assert found["coding"] == Acceptance(8, [4, 1])
    assert found["all"].steps == 4 * len(prompts)
    assert [prompt.category for prompt in check_prompts()] == [name for name in CATEGORIES for _ in range(3)]


def shipped(drafter: str, dtype: str) -> Checked:
    content = manifest.read(Path(manifest.__file__).parent / "weights")
    return Checked(**content["stages"][manifest.evaluation(drafter, dtype)]["check"])


@pytest.mark.parametrize("drafter", BAR_K)
def test_each_number_format_has_a_record_of_its_own(drafter: str) -> None:
    """The same drafter on other text: nothing that the prompts' own differences would not explain."""
    one, other = (shipped(drafter, dtype) for dtype in NUMBER_FORMATS)
    assert one != other
    assert len(one.steps) == len(other.steps) == len(check_prompts())
    shortfall, error = worse_by(one, other)
    assert abs(shortfall) < 2 * error


def test_what_is_worse_is_told_from_what_is_only_different() -> None:
    record = shipped("mtp", "float32")
    assert worse_by(record, record) == (0, 0)
    half = Checked(record.steps, [accepted // 2 for accepted in record.accepted])
    shortfall, error = worse_by(half, record)
    assert shortfall > 8 * error > 0
    swapped = Checked([*record.steps[1:], record.steps[0]], [*record.accepted[1:], record.accepted[0]])
    assert worse_by(swapped, record)[0] == pytest.approx(0)


def test_a_card_says_in_which_format_it_was_measured() -> None:
    known = {"stages": {manifest.evaluation("mtp", "float32"): {"all": "length 1.9"}}}
    assert card("mtp", known).endswith("in vLLM:\n\n- float32: length 1.9\n")
    assert card("mtp", {}).endswith("in vLLM:\n\nnot measured yet\n")


def test_the_report_says_every_figure() -> None:
    acceptance: dict[str, tuple[int, list[int]]] = {
        "mtp:k=3": (100, [50, 25, 10]),
        "dflash:k=5": (80, [40, 20, 8, 4, 0]),
    }
    found = {
        text: {name: Acceptance(steps, list(counts)) for name in (*CATEGORIES, "all")}
        for text, (steps, counts) in acceptance.items()
    }
    stages = {"export mtp": {"predicted at K=3": "length 1.800"}}
    environment = {
        "demo_dtype": "bfloat16",
        "machine": "a machine",
        "versions": {"vllm": "1"},
        "settings": {"LD_PRELOAD": "/x/lib.so", "A": None},
    }
    text = report_text(Evaluation(timing(), found, compiled=timing()), {"stages": stages}, environment)
    for said in (
        "| MTP K=3 | 1.850 | 0.500 | 0.250 | 0.100 |  |  | 100 |",
        "| DFlash K=5 | 1.900 | 0.500 | 0.250 | 0.100 | 0.050 | 0.000 | 80 |",
        "predicted length 1.800; measured length 1.850",
        "| MTP K=1 | 61.1 (58.2 to 64.0) | 1.50 (1.50 to 1.50) | 1.50 (1.50 to 1.50) | 32.8 |",
        "| MTP K=1 | 10 | 3 |",
        "| DFlash K=3 | 11 | none |",
        "LD_PRELOAD=lib.so",
        "## Compiled",
    ):
        assert said in text
