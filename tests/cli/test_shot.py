"""Pictures of a trace: the same bytes each time, of the place asked for, and a sentence where there is none."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.cli import raster
from spectui.cli.main import main
from tests.support.rig import SIZES
from tests.test_rooms import HEAVY
from tests.trace.making import file_of, made_run

Shoot = Callable[..., Path]


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return file_of(tmp_path / "run.jsonl", made_run(7))


@pytest.fixture
def shoot(trace: Path) -> Shoot:
    def shoot(name: str, *options: str) -> Path:
        assert main(["shot", str(trace), "-o", name, *options]) == 0
        return Path(name)

    return shoot


@pytest.mark.slow
def test_the_same_trace_gives_the_same_bytes_whatever_the_machine_says(
    trace: Path, shoot: Shoot, tmp_path: Path
) -> None:
    first = shoot("first.svg", "--at", "60").read_bytes()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "keys.toml").write_text('race.next = "f5"')
    own = {"SPECTUI_CONFIG_DIR": str(tmp_path / "config")}
    elsewhere = {**os.environ, **own, "NO_COLOR": "1", "TERM": "dumb", "PYTHONHASHSEED": "7", "COLUMNS": "91"}
    command = [sys.executable, "-m", "spectui", "shot", str(trace), "-o", "second.svg", "--at", "60"]
    subprocess.run(command, env=elsewhere, check=True, capture_output=True)
    assert Path("second.svg").read_bytes() == first
    assert shoot("third.svg", "--at", "61").read_bytes() != first


@pytest.mark.parametrize("size", SIZES)
def test_text_has_the_size_and_shows_the_place(shoot: Shoot, size: tuple[int, int]) -> None:
    cols, rows = size
    lines = shoot("run.txt", "--at", "0.5s", "--size", f"{cols}x{rows}").read_text().splitlines()
    assert len(lines) == rows
    assert max(map(len, lines)) <= cols
    assert "0.5" in lines[-3]
    assert "synthetic" in lines[0]
    assert "lag" not in lines[0]


def test_the_end_is_shown_where_no_place_was_named(shoot: Shoot) -> None:
    assert "finished" in shoot("run.txt").read_text()


def test_a_theme_changes_the_colours_alone(shoot: Shoot) -> None:
    drawn = {name: shoot(f"{name}.svg", "--theme", name).read_text() for name in ("midnight", "paper")}
    assert drawn["midnight"] != drawn["paper"]
    said = {name: re.findall(r">([^<]*)</text>", svg) for name, svg in drawn.items()}
    assert said["midnight"] == said["paper"]


def test_it_is_called_like_the_trace(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shot", str(trace)]) == 0
    assert capsys.readouterr().out == "run.svg\n"
    assert Path("run.svg").read_text().startswith("<svg ")


@pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="rsvg-convert is not installed")
def test_rsvg_makes_a_png_of_the_pictures_size(shoot: Shoot) -> None:
    _is_png_of(shoot("run.png").read_bytes(), shoot("run.svg").read_text())


@pytest.mark.skipif(not any(map(shutil.which, raster.BROWSERS)), reason="Chromium is not installed")
def test_chromium_makes_a_png_of_the_pictures_size(shoot: Shoot) -> None:
    svg = shoot("run.svg").read_text()
    made = raster._by_browser(svg)
    assert made is not None
    _is_png_of(made, svg)


def _is_png_of(made: bytes, svg: str) -> None:
    assert made.startswith(b"\x89PNG")
    assert struct.unpack(">II", made[16:24]) == raster.size(svg)


def test_a_png_where_nothing_can_make_one_is_a_sentence(
    trace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["shot", str(trace), "-o", "run.png"]) == 1
    assert "no rsvg-convert (package librsvg2-bin) or Chromium" in capsys.readouterr().err
    assert not Path("run.png").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "x.jpg"], 2, "the name must end in .svg or .png or .txt"),
        (["-o", "run.jsonl"], 2, "the name must end in"),
        (["--at", "soon"], 2, "give a step"),
        (["--theme", "midnigt"], 2, "did you mean 'midnight'"),
        (["-o", "run.jsonl/x.svg"], 1, "cannot be written (part of the path is not a folder): give another name"),
    ],
)
def test_what_is_not_possible_is_one_line(
    trace: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shot", str(trace), *words]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_wrong_size_is_one_line(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for size in ("160", "x", "10x5", "160x45x2", "-1x5"):
        with pytest.raises(SystemExit):
            main(["shot", str(trace), f"--size={size}"])
        assert "is not a valid size: use 40x10" in capsys.readouterr().err


def test_it_needs_no_engine(trace: Path) -> None:
    script = "import sys; from spectui.cli.main import main; main(sys.argv[1:]); "
    script += f"print(*(name for name in {HEAVY!r} if name in sys.modules))"
    command = [sys.executable, "-c", script, "shot", str(trace), "-o", "run.txt"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["run.txt"]
