"""The demo target's number format: the fastest one of the processor, or the one that is asked for."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from spectui.bench.harness import environment
from spectui.cli import main as cli
from spectui.setup.config import engine_args
from spectui.sources.hardware import DEMO_DTYPE, cpu_dtype, fastest_dtype, forced_dtype, processor_features


def arguments(*, gpu: bool = False, model: str | None = None, **own: str) -> dict[str, object]:
    return engine_args(argparse.Namespace(model=model, engine_arg=list(own.items())), gpu=gpu)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx avx2", "float32"),
        ("fpu avx avx2 avx512f avx512_bf16", "bfloat16"),
        ("fpu avx2 amx_bf16", "bfloat16"),
        ("", "bfloat16"),
    ],
)
def test_the_processor_decides(tmp_path: Path, flags: str, expected: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert fastest_dtype(file) == expected
    assert processor_features(file) == tuple(one for one in flags.split() if one not in ("fpu", "avx"))
    assert processor_features(tmp_path / "nowhere") == ()
    assert fastest_dtype(tmp_path / "nowhere") == "bfloat16"


@pytest.mark.parametrize("asked", ["bfloat16", "float32"])
def test_the_variable_decides_otherwise(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setenv(DEMO_DTYPE, asked)
    assert cpu_dtype() == environment()["demo_dtype"] == arguments()["dtype"] == arguments(gpu=True)["dtype"] == asked
    assert "dtype" not in arguments(model="some/model")
    assert arguments(dtype="float16")["dtype"] == "float16"


@pytest.mark.parametrize("value", [None, ""])
def test_without_it_a_gpu_runs_what_the_checkpoint_says(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(DEMO_DTYPE, raising=False)
    else:
        monkeypatch.setenv(DEMO_DTYPE, value)
    assert forced_dtype() is None
    assert "dtype" not in arguments(gpu=True)
    assert cpu_dtype() == arguments()["dtype"] == fastest_dtype()


@pytest.mark.parametrize("command", ["run", "tune", "calibrate"])
def test_what_is_no_number_format_is_wrong_usage(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DEMO_DTYPE, "fp16")
    monkeypatch.setenv("SPECTUI_NO_PRELOAD", "1")
    assert cli.main([command]) == 2
    said = f"spectui {command}: {DEMO_DTYPE}=fp16 is not valid: use bfloat16 or float32\n"
    assert capsys.readouterr() == ("", said)
