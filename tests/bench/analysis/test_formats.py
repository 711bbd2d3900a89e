"""An analysis as JSON and as CSV."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict

import msgspec

from spectui.bench.analysis.spreadsheet import BUCKET, CHOICE, NAMES, analysis_csv
from spectui.core.analysis.document import SCHEMA, Document, document_of
from spectui.runtime.output import as_json
from tests.support import analyses


def test_the_json_has_all_that_was_found_and_can_be_read_again() -> None:
    document = document_of(analyses.analysis(), "0.1.0", ["a.jsonl", "b.jsonl"])
    data = json.loads(as_json(asdict(document)))
    assert data["schema"] == SCHEMA
    assert msgspec.convert(data, Document) == document
    assert [lane["lane"] for lane in data["lanes"]] == ["mtp", "dflash"]
    assert data["lanes"][0]["dimensions"][1]["buckets"][1]["acceptance"]["count"] == 200


def test_the_json_of_hostile_texts_is_plain_ascii() -> None:
    text = as_json(asdict(document_of(analyses.hostile(), "0.1.0", [analyses.HOSTILE])))
    assert text.isascii()
    assert not {char for char in text if char < " " and char != "\n"} | ({"\x7f"} & set(text))
    assert json.loads(text)["notes"] == [analyses.HOSTILE]


def test_the_csv_has_a_row_for_each_bucket_and_each_choice() -> None:
    analysis = analyses.analysis()
    rows = list(csv.DictReader(analysis_csv(analysis).splitlines()))
    assert list(rows[0]) == [*NAMES, *BUCKET, *CHOICE]
    buckets = [row for row in rows if row["dimension"] != "headroom"]
    assert len(buckets) == sum(len(one.buckets) for lane in analysis.lanes for one in lane.dimensions)
    numbers = next(row for row in rows if row["bucket"] == "numbers")
    assert (numbers["lane"], numbers["dimension"], numbers["judged"], numbers["lost"]) == ("mtp", "kind", "200", "320")
    assert float(numbers["acceptance"]) == 0.2
    assert (numbers["ranked"], numbers["tok_s"]) == ("1", "")
    choices = [row for row in rows if row["dimension"] == "headroom" and row["lane"] == "mtp"]
    assert [row["bucket"] for row in choices] == ["now", "fixed", "category", "oracle", "bandit", "perfect"]
    assert (choices[1]["tok_s"], choices[1]["times_ar"], choices[1]["detail"]) == ("54.0", "1.42", "K=2")
    assert (choices[4]["tok_s"], choices[4]["judged"]) == ("", "")


def test_the_csv_of_hostile_texts_stays_one_row_a_bucket() -> None:
    rows = list(csv.reader(analysis_csv(analyses.hostile()).splitlines(keepends=True)))
    assert len(rows) == 1 + 2 + 1
    assert {len(row) for row in rows} == {len(rows[0])}
    assert "\x1b" not in analysis_csv(analyses.hostile())
