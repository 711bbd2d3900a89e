"""What a preset says about a model: its lanes, its engine arguments, and where each recommendation comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEADROOM = 5 * 10**9
"""Bytes for CUDA graphs, the work of a step, and whatever else the memory plan adds to what a preset names."""


@dataclass(frozen=True, slots=True)
class PresetLane:
    """A lane of a preset.

    Attributes:
        spec: The lane spec.
        source: The page that recommends the drafter and its K.
        licence: The drafter's licence; empty if the lane has no drafter of its own, or it is not known.
        gate: What to do before the drafter can be downloaded; empty if nothing.
        note: What else to know about the lane.
        unverified: What of the lane no page confirms, in a few words; empty if everything is confirmed.
    """

    spec: str
    source: str = ""
    licence: str = ""
    gate: str = ""
    note: str = ""
    unverified: str = ""

    @property
    def method(self) -> str:
        return self.spec.partition(":")[0]

    @property
    def known(self) -> Mapping[str, str]:
        """What is known besides the spec."""
        names = ("licence", "gate", "note", "unverified", "source")
        return {name: value for name in names if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Preset:
    """A model with its lanes.

    Attributes:
        name: What ``--preset`` takes.
        title: The model's name for people.
        target: Path or id of the target.
        lanes: The lanes, in the order of their panes.
        also: Ids of the same target in other formats, for which the drafters were made too.
        memory_gb: What the lanes take of a GPU's memory together, in 10^9 bytes: one copy of the target, the drafters,
            and in each lane the smallest cache that vLLM starts with. None if it is not known.
        context: The most tokens of a request, prompt and answer (``max_model_len``); None for SpecTUI's default.
        licence: The target's licence.
        gate: What to do before the target can be downloaded; empty if nothing.
        engine: Engine arguments for every lane.
        chat: Arguments of the chat template.
        note: What else to know about it.
        source: The page that recommends the engine arguments.
        file: The file that it is in.
        yours: Whether that is one of the user's files.
    """

    name: str
    target: str
    lanes: tuple[PresetLane, ...]
    title: str = ""
    also: tuple[str, ...] = ()
    context: int | None = None
    memory_gb: float | None = None
    licence: str = ""
    gate: str = ""
    engine: Mapping[str, Any] = field(default_factory=dict)
    chat: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    source: str = ""
    file: str = ""
    yours: bool = False

    @property
    def engine_args(self) -> Mapping[str, Any]:
        """Engine arguments with the context among them."""
        return {**({} if self.context is None else {"max_model_len": self.context}), **self.engine}

    def fits(self, memory: int) -> bool | None:
        """Whether the lanes fit into ``memory`` bytes, with some room for CUDA graphs and the work of a step; None if
        it is not known what they take."""
        return None if self.memory_gb is None else self.memory_gb * 1e9 + HEADROOM <= memory

    @property
    def gates(self) -> tuple[str, ...]:
        """Everything that is to be done before the models can be downloaded."""
        return tuple(dict.fromkeys(gate for gate in (self.gate, *(lane.gate for lane in self.lanes)) if gate))
