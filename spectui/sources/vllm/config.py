"""What an engine host is asked to race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectui.core.serve_line import serve_line
from spectui.protocol.events import Prompt, Sampling, TuneEnded
from spectui.sources.vllm.lane_spec import LaneSpec
from spectui.sources.vllm.target import Report

SYNCHRONOUS = "with synchronous scheduling (the tap needs it)"


@dataclass(frozen=True, slots=True)
class Chat:
    """How prompts are passed to the model.

    Attributes:
        system: A system message for prompts that have none.
        arguments: Arguments of the model's chat template, beside the conversation.
        raw: Whether the text is passed as it is, without the template.
    """

    system: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What lanes may take of the device's memory.

    Attributes:
        refusal: Why they cannot be loaded at all, in one sentence that says what to do; empty if they can.
        kv_bytes: Bytes of a lane's cache; None for what ``engine_args`` say.
    """

    refusal: str = ""
    kv_bytes: Callable[[LaneSpec], int | None] = lambda spec: None


@dataclass(frozen=True, slots=True)
class HostConfig:
    """What races.

    Attributes:
        target: The target's name for headings.
        find_target: Returns the path or id of the target, downloading it if necessary; runs on the engine thread.
        specs: The lanes, in the order of their panes.
        model: The target's path or id as the user gave it; None for the demo target.
        room: Plans the memory once the target has been found; runs on the engine thread, and never raises.
        prompts: The prompt set, with its system messages.
        chat: How prompts are passed to the model.
        sampling: How every lane samples.
        concurrency: Requests in flight in every lane, 1 to `MAX_CONCURRENCY`.
        engine_args: vLLM engine arguments for every lane.
        asked_args: Those of them that the user set.
        self_test: Whether each lane is compared with AR when it has started.
        share: Whether the lanes use one copy of the target's weights where they can.
        paused: Whether to begin in pause, so that the caller sends the first command.
        prompt_words: The options of the command line that chose the prompts.
        remember: Keeps the result of a search for a lane's best K; returns whether it is kept, and never raises.
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
    self_test: bool = False
    share: bool = True
    paused: bool = False
    model: str | None = None
    room: Callable[[], Room] = Room
    prompt_words: Sequence[str] = ()
    remember: Callable[[LaneSpec, TuneEnded], bool] = lambda spec, ended: False

    def serve_line(self, spec: LaneSpec, target: str, best: Mapping[int, int], *, scheduling: str = SYNCHRONOUS) -> str:
        """The command that serves the target like a raced lane, at the best K for each number of requests in flight.

        ``scheduling`` is how lanes were scheduled, if the server will do it otherwise.
        """
        overrides = self.asked_args.get("hf_overrides")
        needed: Mapping[str, Any] = spec.target_arguments(overrides) if any(best.values()) else {}
        overrides = needed.get("hf_overrides", overrides)
        measured = [scheduling] if scheduling else []
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
