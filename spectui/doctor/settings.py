"""Checks of the environment that engines will run with: preloaded libraries and thread settings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spectui.doctor.check import Check, split_fix
from spectui.runtime.threads import NO_PRELOAD, OPENMP_LIBRARY, EngineEnvironment, Setting
from spectui.sources.hardware import DEMO_DTYPE, NUMBER_FORMATS

IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
THREADS = "OMP_NUM_THREADS"


def preload_checks(
    environment: EngineEnvironment, environ: Mapping[str, str], absent: Iterable[str]
) -> Iterator[Check]:
    """Libraries that are loaded before Python starts; `absent` are those of them that are not there."""
    absent = [name for name in environment.preload if name in set(absent)]
    openmp = next((library for library in environment.preload if "libiomp" in library and library not in absent), None)
    if environment.omp_threads is None and environment.binding is None:
        yield Check("preload", "—", "nothing to preload: engines run on the GPU")
    elif openmp is not None:
        yours = openmp in environ.get("LD_PRELOAD", "")
        how = "preloaded by you" if yours else "found, and preloaded whenever engines start"
        yield Check("preload", "ok", f"{OPENMP_LIBRARY} is {how}: {openmp}")
    elif environment.missing is not None:
        reason, fix = split_fix(environment.missing)
        yield Check("preload", "warning", f"{reason}, and drafting lanes are slower without it", fix)
    elif environ.get(NO_PRELOAD, "0") not in ("", "0"):
        what = f"{OPENMP_LIBRARY} is left out, as {NO_PRELOAD} says: engines are some 6 % slower"
        yield Check("preload", "warning", what, f"unset {NO_PRELOAD}")
    elif not absent:
        others = ", ".join(Path(library).name for library in environment.preload)
        yield Check(
            "preload", "—", f"{OPENMP_LIBRARY} is not used here" + (f": you preload {others}" if others else "")
        )
    for library in absent:
        what = f"LD_PRELOAD names {library}, which is not there"
        yield Check("preload", "warning", what, "correct the path in LD_PRELOAD, or unset the variable")
    given = any("tcmalloc" in library for library in environment.preload)
    about = "preloaded by you" if given else "not preloaded, and not missed"
    yield Check("preload", "ok" if given else "—", f"tcmalloc is {about}: it made nothing faster when measured")


def setting_checks(environment: EngineEnvironment, cores: int) -> Iterator[Check]:
    """Every other variable, who set it, and why it is set; `cores` are those that the process may use."""
    for setting in environment.settings:
        if setting.name != "LD_PRELOAD":
            yield _setting_check(setting, cores)


def _setting_check(setting: Setting, cores: int) -> Check:
    line = f"{setting.name}={setting.value}"
    if not setting.by_user:
        return Check("settings", "ok", f"{line}, set by spectui: {setting.why}")
    if setting.name == IN_PROCESS and setting.value != "0":
        return Check("settings", "problem", f"{line}, set by you: {setting.why}", f"unset {setting.name}")
    if setting.name == THREADS and (wrong := _wrong_threads(setting.value, cores)):
        fix = f"unset {setting.name}, or set it to at most {cores}"
        return Check("settings", "warning", f"{line}, set by you: {wrong}", fix)
    return Check("settings", "ok", f"{line}, set by you and kept: {setting.why}")


def _wrong_threads(value: str, cores: int) -> str | None:
    if not value.isdecimal() or int(value) < 1:
        return "not a number of threads"
    return f"more threads than the {cores} that have a core" if int(value) > cores else None


def format_checks(asked: str, fastest: str) -> Iterator[Check]:
    """The number format of the demo target: what the user asked for, if anything, and the fastest on this processor."""
    if asked and asked not in NUMBER_FORMATS:
        fix = f"set it to {' or '.join(NUMBER_FORMATS)}, or unset it"
        yield Check("format", "problem", f"{DEMO_DTYPE}={asked} is no number format", fix)
    elif asked and asked != fastest:
        what = f"the demo model runs in {asked}, as {DEMO_DTYPE} says; {fastest} is faster on this processor"
        yield Check("format", "warning", what, f"unset {DEMO_DTYPE}")
    elif asked:
        yield Check("format", "ok", f"the demo model runs in {asked}, as {DEMO_DTYPE} says")
    elif fastest == "bfloat16":
        yield Check("format", "ok", "the demo model runs in bfloat16")
    else:
        yield Check(
            "format",
            "ok",
            f"the demo model runs in {fastest}: without AVX-512 several tokens at once would cost far more in bfloat16",
        )
