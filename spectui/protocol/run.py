"""Events about a run as a whole: what races, how its lanes load, and what applies to all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

KSource: TypeAlias = Literal["default", "tuned", "yours", "auto"]
"""Where a lane's K comes from: it is the default, a search found it on this machine, the user named it, or the lane
itself chooses one after every step."""

StageName: TypeAlias = Literal[
    "waiting",
    "importing",
    "downloading",
    "converting",
    "verifying",
    "loading",
    "warming up",
    "ready",
    "failed",
]


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """One decoding method on the shared target.

    Attributes:
        name: Unique within the run and short, such as ``"ar"`` or ``"mtp"``; every other event refers to it.
        method: vLLM's name for the method (``"ar"`` for no drafting).
        title: The method's usual spelling, for headings: ``"AR"``, ``"MTP"``, ``"DFlash"``.
        k_max: Drafted tokens that the lane was built for; 0 if it cannot draft.
        k_start: Drafted tokens that it begins with; None for ``k_max``.
        spec: The lane spec as the user would type it.
        note: One sentence that the audience should know, or an empty string.
        k_source: Where the K that it begins with comes from; None if that is unknown or the lane cannot draft.
    """

    name: str
    method: str
    title: str
    k_max: int
    spec: str
    note: str = ""
    k_start: int | None = None
    k_source: KSource | None = None

    @property
    def k_first(self) -> int:
        """The K that the lane begins with."""
        return self.k_max if self.k_start is None else self.k_start


@dataclass(frozen=True, slots=True)
class Sampling:
    """How every lane samples.

    Attributes:
        temperature: 0 is greedy.
        top_p: The share of probability that candidates come from; 1 keeps every token.
        top_k: How many tokens are candidates; 0 keeps every token.
        seed: Where randomness starts; with None the engine chooses.
        max_tokens: The most completion tokens of an answer.
        ignore_eos: Whether an answer goes on past its end.
        stop: Texts that end an answer.
        json_schema: The text of a JSON schema that the output must follow; None for free text.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int = 256
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    json_schema: str | None = None


Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a prompt set: the message to answer, and what comes before it.

    Attributes:
        text: The user's message to answer.
        category: What kind of prompt it is.
        index: Its place in the set, from 0.
        count: How many prompts the set has.
        before: The conversation up to here as given by the set: a system message, earlier turns with their answers.
        asked: The user's earlier turns of a conversation that is raced turn by turn; each is followed by the lane's own
            answer, which differs from lane to lane.
        later: The user's turns that follow once this one is answered.
    """

    text: str
    category: str = "prompt"
    index: int = 0
    count: int = 1
    before: tuple[Message, ...] = ()
    asked: tuple[str, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def turn(self) -> int:
        """The number of this turn in its conversation, from 0."""
        return len(self.asked)

    @property
    def turns(self) -> int:
        """The number of turns in its conversation."""
        return len(self.asked) + 1 + len(self.later)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The header of a run: what races, on what, and with which software.

    ``attached`` means that the lanes are servers that run elsewhere; see `spectui.protocol.serving`.
    """

    target: str
    lanes: tuple[LaneInfo, ...]
    sampling: Sampling
    concurrency: int = 1
    machine: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    synthetic: bool = False
    attached: bool = False


@dataclass(frozen=True, slots=True)
class LaneStage:
    """The progress of a lane from nothing to ready. ``done`` and ``total`` are bytes or parts; None if unknown."""

    lane: str
    stage: StageName
    detail: str = ""
    done: int | None = None
    total: int | None = None


Graphs: TypeAlias = Literal["none", "piecewise", "full"]
"""What of a forward pass is replayed from CUDA graphs: nothing, the parts between attention layers, or all of it."""


@dataclass(frozen=True, slots=True)
class LaneEngine:
    """How a lane's engine computes, as it was built. Only lanes that compute alike can be compared.

    Attributes:
        lane: The lane's name.
        device: The kind of device, ``"cpu"`` or ``"cuda"``; empty if unknown, like every text here.
        runner: vLLM's model runner; None if unknown.
        eager: Whether the model runs uncompiled; None if unknown.
        graphs: The CUDA graphs of steps at a K that is not among ``whole_graphs``; None if unknown.
        whole_graphs: The K whose steps are replayed as one whole CUDA graph.
        scheduling: ``"synchronous"`` if a step is scheduled only after the one before it has been read, which the tap
            needs; vLLM's default overlaps the two. None if unknown.
        attention: Attention backends of the target's layers, in alphabetical order.
        dtype: The type that the target computes in.
        quantization: How the target's weights are quantised; ``"none"`` if they are not.
        cache_dtype: The type that keys and values are kept in; ``"auto"`` for the target's own.
        version: vLLM's version.
        tensor_parallel: Devices among which every layer is divided.
        vocabulary: Tokens that the target knows; None if unknown.
        draft_vocabulary: Tokens that the drafter's ids can name, where nothing translates them into the target's; None
            if unknown, translated, or if it drafts without a vocabulary of its own.
    """

    lane: str
    device: str = ""
    runner: Literal["V1", "V2"] | None = None
    eager: bool | None = None
    graphs: Graphs | None = None
    whole_graphs: tuple[int, ...] = ()
    scheduling: Literal["synchronous", "asynchronous"] | None = None
    attention: tuple[str, ...] = ()
    dtype: str = ""
    quantization: str = ""
    cache_dtype: str = ""
    version: str = ""
    tensor_parallel: int = 1
    vocabulary: int | None = None
    draft_vocabulary: int | None = None

    def graphs_at(self, k: int) -> Graphs | None:
        """The CUDA graphs of a decoding step at ``k``; None if unknown."""
        return "full" if k in self.whole_graphs else self.graphs


@dataclass(frozen=True, slots=True)
class LaneChecked:
    """The self-test of a lane that has just started: its greedy tokens beside AR's, K changing on the way.

    Attributes:
        lane: The lane's name.
        tokens: How many tokens were compared.
        drafted: Tokens that were drafted meanwhile.
        accepted: How many of those the target kept.
        position: Where the two first differ, counted from 0; None if they are equal.
        margin: The target's top-2 margin there, in nats; None if it is not known.
        plain: Whether the lane was compared with itself at K = 0, because no AR lane had started.
        warning: What is wrong with the lane, and what to do, in one sentence; empty if nothing is, and for a near tie.
    """

    lane: str
    tokens: int
    drafted: int = 0
    accepted: int = 0
    position: int | None = None
    margin: float | None = None
    plain: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class KChanged:
    """From its next step on, ``lane`` may draft ``k`` tokens; ``source`` says where that K comes from.

    An automatic K is told once, as it begins; each step tells its own.
    """

    lane: str
    k: int
    source: KSource = "yours"


@dataclass(frozen=True, slots=True)
class Paused:
    """The race was paused (``paused``) or continues."""

    paused: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the user. ``lane`` is None if it concerns the whole run; ``refused`` means that the round
    that was asked for does not begin."""

    text: str
    lane: str | None = None
    level: Literal["info", "warning", "error"] = "info"
    refused: bool = False


RunEvent: TypeAlias = RunStarted | LaneStage | LaneEngine | LaneChecked | KChanged | Paused | Notice
