"""The suite's own order: marks, which `make quick` chooses by, and folders, which no other checkout uses."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import KINDS, kept_folder

ROOT = Path(__file__).parent.parent


def kinds(item: pytest.Item) -> list[str]:
    return [name for name in KINDS if item.get_closest_marker(name) is not None]


def test_every_test_is_of_one_kind(request: pytest.FixtureRequest) -> None:
    assert {item.nodeid: kinds(item) for item in request.session.items if len(kinds(item)) != 1} == {}


@pytest.mark.parametrize(
    ("place", "kind"), [("engine/", "engine"), ("test_app.py", "tui"), ("test_terminal.py", "tui"), ("trace/", "unit")]
)
def test_a_kind_follows_from_what_is_used(request: pytest.FixtureRequest, place: str, kind: str) -> None:
    here = [item for item in request.session.items if item.nodeid.startswith(f"tests/{place}")]
    assert {item.nodeid: kinds(item) for item in here if kinds(item) != [kind]} == {}


def test_quick_takes_neither_engines_nor_what_takes_seconds() -> None:
    said = subprocess.run(
        ["make", "-n", "BIN=BIN", "quick-unit", "quick-tui"], cwd=ROOT, capture_output=True, text=True
    )
    assert re.findall(r'^BIN/pytest -q -m "(.*?)"', said.stdout, re.M) == ["unit and not slow", "tui and not slow"]


def test_what_the_program_writes_is_this_sessions(tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("SPECTUI_LOG_DIR", "SPECTUI_CONFIG_DIR", "SPECTUI_SOCKET_DIR"):
        assert Path(os.environ[name]).is_relative_to(tmp_path_factory.getbasetemp())


def test_what_is_kept_is_this_checkouts(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.delenv("SPECTUI_TEST_CACHE", raising=False)
    kept = kept_folder(pytestconfig)
    assert kept is None or kept.is_relative_to(pytestconfig.rootpath)
    monkeypatch.setenv("SPECTUI_TEST_CACHE", "elsewhere")
    assert kept_folder(pytestconfig) == Path.cwd() / "elsewhere"
