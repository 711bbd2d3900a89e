"""The schema that ships: made from the dataclasses, and right about what is written."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from spectui.core.bench.codec import results_json
from spectui.core.bench.schema import keys_tables, results_schema, schema_text
from tests.support.benchmarks import VARIANTS, made_up_matrix, made_up_results

pytestmark = pytest.mark.unit

SHIPPED = files("spectui.core.bench").joinpath("results.schema.json").read_text(encoding="utf-8")


def test_the_file_that_ships_is_what_the_dataclasses_give() -> None:
    assert schema_text() == SHIPPED, "python -m spectui.core.bench.schema > spectui/core/bench/results.schema.json"


def test_results_are_valid_and_altered_ones_are_not() -> None:
    schema = json.loads(SHIPPED)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    padded = made_up_matrix((1,), ("coding", "math"), (None, 2048))
    for matrix in (None, padded, made_up_matrix(variants=VARIANTS[1:])):
        written = json.loads(results_json(made_up_results(matrix)))
        validator.validate(written)
    for break_it in (
        lambda results: results.pop("matrix"),
        lambda results: results.update(schema=99),
        lambda results: results["cells"][0]["figures"].update(speedup="fast"),
        lambda results: results["cells"][0].pop("variant"),
    ):
        broken = json.loads(json.dumps(written))
        break_it(broken)
        assert not validator.is_valid(broken)


def test_every_key_has_a_meaning() -> None:
    for name, definition in results_schema()["$defs"].items():
        assert definition["description"], name
        for key, described in definition["properties"].items():
            assert described["description"].endswith("."), (name, key)
    assert "Attributes" not in keys_tables()
    assert "None" not in keys_tables()
