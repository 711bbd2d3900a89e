"""Finds the lanes that a target can race, for ``--model`` alone: what its configuration says of layers of multi-token
prediction, the drafters that presets know for it, and n-gram always.

Looks at this machine only. Of a target that is not here yet, the presets know what there is to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spectui.places import expanded
from spectui.setup.presets.known import known_presets
from spectui.setup.presets.preset import Preset, PresetLane
from spectui.sources.model_configs import block_tokens, config_of, kinds, model_folder, mtp_layers
from spectui.sources.vllm import vllm_options
from spectui.sources.vllm.lane_spec import parse_lane_spec


@dataclass(frozen=True, slots=True)
class Found:
    """A lane for a target.

    Attributes:
        spec: The lane spec.
        why: Where it was found, in a few words.
        lacking: What to do before it can race; empty if it can.
    """

    spec: str
    why: str
    lacking: str = ""


def find_lanes(model: str) -> tuple[Found, ...]:
    """The lanes for ``model``, a folder or an id on Hugging Face: AR, one of each method that has a drafter, n-gram."""
    lanes: dict[str, Found] = {"ar": Found("ar", "every target")}
    for preset in presets_of(model):
        for lane in preset.lanes:
            if lane.method not in ("ar", "ngram"):
                found = _known(model, preset, lane)
                if lane.method not in lanes or (lanes[lane.method].lacking and not found.lacking):
                    lanes[lane.method] = found
    if "mtp" not in lanes and (found_mtp := _own_mtp(model)) is not None:
        lanes = {"ar": lanes.pop("ar"), "mtp": found_mtp, **lanes}
    lanes["ngram"] = Found("ngram:k=5", "every target")
    return tuple(lanes.values())


def default_lanes(model: str) -> tuple[str, ...]:
    """The specs of the lanes that can race."""
    return tuple(found.spec for found in find_lanes(model) if not found.lacking)


def presets_of(model: str) -> Iterator[Preset]:
    """The presets whose target is ``model``: by its id, or, in a folder, by the folder's name."""
    at_home = expanded(model).exists()
    name = expanded(model).resolve().name.lower() if at_home else model.lower()
    for preset in known_presets().by_name.values():
        targets = (preset.target, *preset.also)
        if name in {(target.rpartition("/")[2] if at_home else target).lower() for target in targets}:
            yield preset


def _known(model: str, preset: Preset, lane: PresetLane) -> Found:
    """A preset's lane for this target. A folder's drafters are looked for beside it, before Hugging Face's cache."""
    why = f"preset {preset.name}"
    drafter = parse_lane_spec(lane.spec).options.get("model")
    if drafter is None:
        return Found(lane.spec, why)
    folder = expanded(model)
    beside = folder.resolve().parent / drafter.rpartition("/")[2]
    if folder.exists() and (beside / "config.json").is_file():
        return Found(_with_block(lane.spec.replace(drafter, _quoted(str(beside)), 1)), f"{why}, beside the target")
    if model_folder(drafter) is not None:
        return Found(_with_block(lane.spec), f"{why}, on this machine")
    if folder.exists():
        return Found(lane.spec, why, f"download {drafter}: a target in a folder gets no drafter from the network")
    return Found(lane.spec, why, lane.gate)


def _quoted(path: str) -> str:
    return f'"{path}"' if "," in path else path


def _with_block(text: str) -> str:
    """The spec of a DFlash lane with the K that its drafter, which is on this machine, was trained for."""
    spec = parse_lane_spec(text)
    config = config_of(str(spec.options.get("model"))) if spec.method == "dflash" else None
    k = None if config is None else block_tokens(config)
    return text if k in (None, spec.k_max) else text.replace(f"k={spec.k_max}", f"k={k}", 1)


def _own_mtp(model: str) -> Found | None:
    """A lane on the target's own layers of multi-token prediction, if it is here, has some, and vLLM knows its kind."""
    config: Mapping[str, Any] | None = config_of(model)
    if config is None or (counted := mtp_layers(config)) is None:
        return None
    targets = vllm_options.mtp_targets()
    if targets and not targets & kinds(config):
        return None
    return Found("mtp", f"{counted[0]} = {counted[1]} in its config.json")
