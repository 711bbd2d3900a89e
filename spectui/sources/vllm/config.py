"""What an engine host is asked to race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectui.core.serve_line import serve_line
from spectui.protocol.events import Prompt, Sampling, TuneEnded
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.target import Report


@dataclass(frozen=True, slots=True)
class Chat:
    """How prompts are put to the model.

    Attributes:
        system: A system message for prompts that have none.
        arguments: What the model's chat template is told beside the conversation.
        raw: Without the template: the text as it is.
    """

    system: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What races.

    Attributes:
        target: A name for headings.
        find_target: Gives the path or id of the target, fetching it if need be; runs on the engine thread.
        specs: The lanes, in the order of their panes.
        prompts: The prompt set, with its system messages.
        chat: How they are put to the model.
        sampling: How every lane samples.
        concurrency: Requests in flight in every lane, 1 to `MAX_CONCURRENCY`.
        engine_args: vLLM engine arguments that hold for every lane.
        asked_args: Those of them that the user set.
        paused: Begin in pause, so that whoever drives sends the first command.
        remember: Keeps what a search for a lane's best K found; says whether it is kept, and never raises.
    """

    target: str
    find_target: Callable[[Report], str]
    specs: Sequence[LaneSpec]
    prompts: Sequence[Prompt]
    sampling: Sampling = field(default_factory=Sampling)
    chat: Chat = field(default_factory=Chat)
    concurrency: int = 1
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    asked_args: Mapping[str, Any] = field(default_factory=dict)
    paused: bool = False
    remember: Callable[[LaneSpec, TuneEnded], bool] = lambda spec, ended: False

    def serve_line(self, spec: LaneSpec, target: str, best: Mapping[int, int]) -> str:
        """What serves the target as a lane raced, at the best K of each number of requests in flight."""
        overrides = self.asked_args.get("hf_overrides")
        needed: Mapping[str, Any] = spec.target_arguments(overrides) if any(best.values()) else {}
        overrides = needed.get("hf_overrides", overrides)
        measured = ["with synchronous scheduling (the tap needs it)"]
        if self.engine_args.get("enforce_eager") and "enforce_eager" not in self.asked_args:
            measured.insert(0, "in eager mode")
        if (dtype := self.engine_args.get("dtype")) is not None and "dtype" not in self.asked_args:
            measured.insert(0, f"in {dtype}")
        return serve_line(
            target,
            spec.drafting(target),
            best,
            template_arguments=self.chat.arguments,
            engine_args={**self.asked_args, **({"hf_overrides": overrides} if overrides else {})},
            measured=measured,
        )
