"""`spectui doctor --lanes`: loads lanes as `spectui run` does, and checks them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from spectui.doctor import lanes as found
from spectui.doctor.lanes import Finding
from spectui.errors import DONE, FAILED, RunError, UsageError
from spectui.runtime.logs import without_log
from spectui.runtime.output import as_json
from spectui.runtime.quiet import say
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup.options import add_engine_options
from spectui.sources.hardware import machine_name, software_versions

if TYPE_CHECKING:
    from spectui.setup.session import EngineSession
    from spectui.sources.vllm.config import HostConfig
    from spectui.sources.vllm.lane import Lane


def check_options(options: argparse.Namespace) -> None:
    """Raise `UsageError` if an option is about engines, and none are to be started."""
    shared = argparse.ArgumentParser()
    add_engine_options(shared)
    for name, default in vars(shared.parse_args([])).items():
        if getattr(options, name) != default:
            option = "no-share" if name == "share" else name.replace("_", "-")
            raise UsageError(f"--{option} works only with --lanes: add --lanes, or leave it out")


def examine_lanes(options: argparse.Namespace) -> int:
    """Load and check the lanes, and print what was found; the exit code says whether something does not hold."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    from spectui.setup.config import host_config
    from spectui.setup.session import engine_session
    from spectui.sources.vllm.examining import COUNTED

    config = host_config(options, gpu=gpu)
    # The same text is compared here, and for longer.
    config = replace(config, self_test=False, engine_args={**config.engine_args, **COUNTED})
    with engine_session(config) as session:
        session.check_room()
        findings: list[Finding] = []
        try:
            findings.extend(_findings(config, session))
        except RunError as error:
            # What was found before an engine died is worth having.
            findings.append(found.running(without_log(str(error))))
    if options.json:
        print(as_json(found.document(_header(config), findings)))
    else:
        print("\n".join(found.table({name: _said(value) for name, value in _header(config).items()}, findings)))
    return FAILED if any(finding.verdict == "does not hold" for finding in findings) else DONE


def _header(config: HostConfig) -> dict[str, Any]:
    return {
        "machine": machine_name(),
        "versions": dict(software_versions()),
        "target": config.target,
        "lanes": [spec.text for spec in config.specs],
        "arguments": dict(config.engine_args),
    }


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={one}" for name, one in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)


def _findings(config: HostConfig, session: EngineSession) -> Iterator[Finding]:
    """A lane that does not load is named, and the others are checked."""
    from spectui.doctor.lanes_measure import RACE_TOKENS, Measuring
    from spectui.sources.vllm.lane_spec import lane_infos
    from spectui.sources.vllm.prompting import fitting

    lanes: list[Lane] = []
    for info, spec in zip(lane_infos(config.specs), config.specs, strict=True):
        try:
            lanes.append(session.lane(info, spec))
        except RunError as error:
            yield found.loading(info.title, without_log(str(error)))
        else:
            yield found.loading(info.title)
    if not lanes:
        return
    with session.driving():
        prompts = fitting(lanes[0], config.prompts, config.chat, RACE_TOKENS)
        if not prompts:
            raise UsageError("no prompt of the set is short enough: raise --engine-arg max_model_len=...")
        prompt = prompts[0].ids
        sharing = partial(_unshared, session, lanes) if any(lane.shares_target for lane in lanes) else None
        yield from Measuring(lanes, prompt, tell=say, unshared=sharing).found()


@contextmanager
def _unshared(session: EngineSession, lanes: Sequence[Lane]) -> Iterator[Lane | None]:
    """Load an AR lane that shares nothing with ``lanes``, and close it again."""
    from spectui.sources.vllm.lane_spec import LaneSpec, lane_infos

    spec = LaneSpec("ar", 0, text="ar")
    try:
        yield session.unshared(lane_infos([spec])[0], spec)
    finally:
        session.close(*lanes)
