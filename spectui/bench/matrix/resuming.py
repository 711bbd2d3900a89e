"""Whether a benchmark can be continued here: only what was measured on the same things makes one result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.bench.reports.document import listed
from spectui.core.bench.matrix import Matrix
from spectui.core.bench.results import Header, LaneNote
from spectui.errors import RunError
from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos

if TYPE_CHECKING:
    from spectui.sources.vllm.lane import Lane


def check_same(folder: Path, before: Header, now: Header) -> None:
    """Refuse to continue the benchmark in a folder on anything else.

    Raises:
        RunError: The model, machine, software, settings, lanes or prompts are not those that it was measured on.
    """
    for what, was, is_ in (
        ("model", before.target, now.target),
        ("machine", before.environment["machine"], now.environment["machine"]),
        ("device", before.device, now.device),
    ):
        if was != is_:
            raise RunError(f"{folder} was measured on another {what} ({was}; this is {is_}): start a new benchmark")
    was, is_ = before.environment["versions"], now.environment["versions"]
    if was != is_:
        raise RunError(f"{folder} was measured with {_other_software(was, is_)}, or start a new benchmark")
    if (settings := _other_settings(before.environment["settings"], now.environment["settings"])) is not None:
        raise RunError(f"{folder} was measured with {settings}, or start a new benchmark")
    _check_lanes(folder, before.lanes, now.lanes)
    if before.max_model_len != now.max_model_len:
        raise RunError(
            f"{folder} was measured with max_model_len={before.max_model_len}, and the lanes take "
            f"{now.max_model_len} tokens here: start a new benchmark"
        )
    if before.prompts.digest != now.prompts.digest:
        raise RunError(
            f"the prompts are not those {folder} was measured on: use the same prompts, or start a new benchmark"
        )


def _check_lanes(folder: Path, before: Sequence[LaneNote], now: Sequence[LaneNote]) -> None:
    if (was := [one.lane for one in before]) != (are := [one.lane for one in now]):
        raise RunError(f"{folder} was measured on the lanes {listed(was)}, not {listed(are)}: start a new benchmark")
    for one, other in zip(before, now, strict=True):
        if one.spec != other.spec:
            raise RunError(
                f"{folder} was measured with the lane {one.spec}, which is {other.spec} here: start a new benchmark"
            )
        if one.drafter != other.drafter:
            raise RunError(
                f"{folder} was measured with {one.drafter or 'no drafter'} for {one.lane}, and here it is "
                f"{other.drafter or 'none'}: start a new benchmark"
            )
        if one.engine is not None and other.engine is not None and one.engine.dtype != other.engine.dtype:
            raise RunError(
                f"{folder} was measured with {one.lane} in {one.engine.dtype}, not in {other.engine.dtype}: start a "
                "new benchmark"
            )


def with_ks(specs: Sequence[LaneSpec], matrix: Matrix) -> tuple[LaneSpec, ...]:
    """The lanes, each built for every K of the matrix: a search in between may have chosen another one."""
    most = {one.lane: max(each.k for each in matrix.variants if each.lane == one.lane) for one in matrix.variants}
    names = [info.name for info in lane_infos(specs)]
    return tuple(
        replace(spec, k_max=max(spec.k_max, most.get(name, 0))) if spec.k_max else spec
        for name, spec in zip(names, specs, strict=True)
    )


def check_ks(folder: Path, matrix: Matrix, lanes: Sequence[Lane]) -> None:
    """Refuse to continue a benchmark that has a K which a lane cannot take here.

    Raises:
        RunError: It has.
    """
    by_name = {lane.info.name: lane for lane in lanes}
    for variant in matrix.variants:
        lane = by_name.get(variant.lane)
        if lane is None:
            raise RunError(f"{folder} was measured on the lane {variant.lane} too, which is not here: add it back")
        if (variant.k and variant.k not in lane.ks) or (variant.auto and lane.fixed_k):
            why = f" ({lane.fixed_k})" if lane.fixed_k else ""
            raise RunError(
                f"{folder} was measured at {variant.name}, which this lane cannot take here{why}: start a new benchmark"
            )


def _other_settings(was: Mapping[str, str | None], is_: Mapping[str, str | None]) -> str | None:
    """``OMP_NUM_THREADS=2, which is not set here: set it to 2``; None if nothing differs."""
    for name in {**was, **is_}:
        if (had := was.get(name)) != (has := is_.get(name)):
            now = "is not set here" if has is None else f"is {has} here"
            fix = f"unset {name}" if had is None else f"set it to {had}"
            return f"{name}={had}, which {now}: {fix}" if had is not None else f"no {name}, which {now}: {fix}"
    return None


def _other_software(was: Mapping[str, str], is_: Mapping[str, str]) -> str:
    """``vllm 0.32.0, and vllm 0.33.0 is installed: install vllm 0.32.0``."""
    names = [name for name in {**was, **is_} if was.get(name) != is_.get(name)]
    had, has = (listed(f"{name} {of[name]}" if name in of else f"no {name}" for name in names) for of in (was, is_))
    fix = f"install {had}" if set(names) <= set(was) else "install what it was measured with"
    return f"{had}, and {has} {'is' if len(names) == 1 else 'are'} installed: {fix}"
