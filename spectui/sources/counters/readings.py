"""From the metrics of vLLM, SGLang and llama.cpp to what the program knows of a server.

The names are those of vLLM 0.32 (``vllm/v1/metrics/loggers.py``, ``vllm/v1/spec_decode/metrics.py``), SGLang 0.5.23
(``sglang/srt/observability/metrics_collector.py``) and llama.cpp's ``tools/server/README.md``, with older ones beside
them where they were renamed. Figures of data-parallel engines are summed; shares and lengths are their means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from spectui.protocol.limits import MAX_K
from spectui.protocol.serving import CounterSample, ServerKind
from spectui.sources.counters.exposition import Exposition, Sample, parse
from spectui.sources.counters.values import MalformedError, real, whole

STARTED = "process_start_time_seconds"
MOST_POSITIONS = MAX_K
"""More drafted tokens per step than this are not believed."""

_EMPTY = CounterSample("", 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one answer says.

    Attributes:
        kind: The server; ``"unknown"`` if the metrics are of none that is known.
        sample: Its counters, still without lane and time.
        started: When the server began, as it says itself, in seconds since 1970.
        engines: Data-parallel engines.
        model: The target, if the metrics name it.
        k: Tokens that may be drafted per step; 0 without speculative decoding, None if unknown.
    """

    kind: ServerKind
    sample: CounterSample = _EMPTY
    started: float | None = None
    engines: int = 1
    model: str = ""
    k: int | None = None


def read(body: bytes, content_type: str) -> Reading:
    """Read the answer of ``/metrics``.

    Raises:
        MalformedError: It makes no sense.
    """
    found = parse(body, content_type, _WANTED)
    for prefix, make in _SERVERS.items():
        if prefix in found.prefixes:
            return make(_Metrics(found))
    return Reading("unknown")


class _Metrics:
    """Samples by the part of the name that follows the prefix."""

    def __init__(self, found: Exposition) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for sample in found.samples:
            self._samples.setdefault(sample.name, []).append(sample)

    def all(self, *names: str) -> list[Sample]:
        """The samples of the first of these names that is there."""
        return next((found for name in names if (found := self._samples.get(name))), [])

    def total(self, *names: str) -> int | None:
        """The sum over engines; None if it is not there."""
        found = self.all(*names)
        return whole(sum(sample.value for sample in found)) if found else None

    def mean(self, *names: str, most: float = 1e9) -> float | None:
        """The mean over engines; None if it is not there or not within bounds."""
        found = [value for sample in self.all(*names) if (value := real(sample.value, most)) is not None]
        return fmean(found) if found else None

    def by_position(self, name: str) -> tuple[int, ...]:
        """A counter with the label ``position``, which counts from 0."""
        sums: dict[int, float] = {}
        for sample in self.all(name):
            position = sample.labels.get("position", "")
            if not position.isascii() or not position.isdigit() or len(position) > 3:
                raise MalformedError(f"{name} at position {position[:20]!r}")
            sums[int(position)] = sums.get(int(position), 0.0) + sample.value
        if sums and max(sums) >= MOST_POSITIONS:
            raise MalformedError(f"{name} at position {max(sums)}")
        return tuple(int(sums.get(position, 0)) for position in range(max(sums) + 1)) if sums else ()

    def started(self) -> float | None:
        return real(max((sample.value for sample in self.all(STARTED)), default=None), most=1e11)

    def labels(self, label: str, names: Iterable[str]) -> list[str]:
        """The different values of a label, in order."""
        values = {sample.labels.get(label, "") for name in names for sample in self.all(name)}
        return sorted(value for value in values if value)


_VLLM = {
    "drafts": "vllm:spec_decode_num_drafts_total",
    "drafted": "vllm:spec_decode_num_draft_tokens_total",
    "accepted": "vllm:spec_decode_num_accepted_tokens_total",
    "accepted_at": "vllm:spec_decode_num_accepted_tokens_per_pos_total",
    "emitted": "vllm:generation_tokens_total",
    "prompt_tokens": "vllm:prompt_tokens_total",
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "cache_share": "vllm:kv_cache_usage_perc",
    "old cache_share": "vllm:gpu_cache_usage_perc",
}


def _vllm(metrics: _Metrics) -> Reading:
    accepted_at = metrics.by_position(_VLLM["accepted_at"])
    drafts = metrics.total(_VLLM["drafts"])
    return Reading(
        "vllm",
        CounterSample(
            "",
            0,
            drafts=drafts,
            drafted=metrics.total(_VLLM["drafted"]),
            accepted=metrics.total(_VLLM["accepted"]),
            accepted_at=accepted_at,
            emitted=metrics.total(_VLLM["emitted"]),
            prompt_tokens=metrics.total(_VLLM["prompt_tokens"]),
            running=metrics.total(_VLLM["running"]),
            waiting=metrics.total(_VLLM["waiting"]),
            cache_share=metrics.mean(_VLLM["cache_share"], _VLLM["old cache_share"], most=1.0),
        ),
        metrics.started(),
        max(1, len(metrics.labels("engine", _VLLM.values()))),
        next(iter(metrics.labels("model_name", _VLLM.values())), ""),
        # Counters of every position that can be drafted are there from the start, and none without a drafter.
        len(accepted_at) or (0 if drafts is None else None),
    )


_SGLANG = {
    "drafts": "sglang:spec_verify_calls_total",
    "emitted": "sglang:generation_tokens_total",
    "prompt_tokens": "sglang:prompt_tokens_total",
    "length": "sglang:spec_accept_length",
    "rate": "sglang:spec_accept_rate",
    "k": "sglang:spec_num_steps",
    "running": "sglang:num_running_reqs",
    "waiting": "sglang:num_queue_reqs",
    "cache_share": "sglang:token_usage",
    "tok_s": "sglang:gen_throughput",
}
_OF_ONE_ENGINE = ("tp_rank", "pp_rank", "moe_ep_rank")
"""Ranks of SGLang that share one scheduler; with ``--enable-metrics-for-all-schedulers`` each reports the same."""


def _sglang(metrics: _Metrics) -> Reading:
    def engines(field: str) -> list[float]:
        """One value per data-parallel engine."""
        values: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in metrics.all(_SGLANG[field]):
            key = tuple(sorted(item for item in sample.labels.items() if item[0] not in _OF_ONE_ENGINE))
            values[key] = max(sample.value, values.get(key, 0.0))
        return list(values.values())

    def total(field: str) -> float | None:
        found = engines(field)
        return sum(found) if found else None

    def stated(field: str, most: float) -> float | None:
        """The mean over engines that have drafted: SGLang says 0 as long as there is nothing to say."""
        found = [value for value in engines(field) if 0 < value <= most]
        return fmean(found) if found else None

    length = stated("length", MOST_POSITIONS + 1)
    cache = [value for value in engines("cache_share") if value <= 1]
    k = max(engines("k"), default=0.0)
    return Reading(
        "sglang",
        CounterSample(
            "",
            0,
            drafts=metrics.total(_SGLANG["drafts"]),
            emitted=metrics.total(_SGLANG["emitted"]),
            prompt_tokens=metrics.total(_SGLANG["prompt_tokens"]),
            length=length,
            # A rate of 0 means something only where something was drafted.
            rate=None if length is None else (stated("rate", 1.0) or (0.0 if engines("rate") else None)),
            running=whole(total("running")),
            waiting=whole(total("waiting")),
            cache_share=fmean(cache) if cache else None,
            tok_s=real(total("tok_s")),
        ),
        metrics.started(),
        max(1, len(metrics.labels("dp_rank", _SGLANG.values()))),
        next(iter(metrics.labels("model_name", _SGLANG.values())), ""),
        whole(k) if 0 < k <= MOST_POSITIONS else None,
    )


_LLAMA = {
    "drafts": "llamacpp:spec_decode_num_drafts_total",
    "drafted": "llamacpp:spec_decode_num_draft_tokens_total",
    "accepted": "llamacpp:spec_decode_num_accepted_tokens_total",
    "accepted_at": "llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
    "emitted": "llamacpp:tokens_predicted_total",
    "prompt_tokens": "llamacpp:prompt_tokens_total",
    "running": "llamacpp:requests_processing",
    "waiting": "llamacpp:requests_deferred",
    "cache_share": "llamacpp:kv_cache_usage_ratio",
}


def _llama(metrics: _Metrics) -> Reading:
    # The counters are there without a drafter too, at 0. None of them says which of the two it is.
    drafted = metrics.total(_LLAMA["drafted"])
    unknown = not drafted
    return Reading(
        "llama.cpp",
        CounterSample(
            "",
            0,
            drafts=None if unknown else metrics.total(_LLAMA["drafts"]),
            drafted=None if unknown else drafted,
            accepted=None if unknown else metrics.total(_LLAMA["accepted"]),
            accepted_at=() if unknown else metrics.by_position(_LLAMA["accepted_at"]),
            emitted=metrics.total(_LLAMA["emitted"]),
            prompt_tokens=metrics.total(_LLAMA["prompt_tokens"]),
            running=metrics.total(_LLAMA["running"]),
            waiting=metrics.total(_LLAMA["waiting"]),
            cache_share=metrics.mean(_LLAMA["cache_share"], most=1.0),
        ),
        metrics.started(),
    )


_SERVERS: dict[str, Callable[[_Metrics], Reading]] = {"vllm": _vllm, "sglang": _sglang, "llamacpp": _llama}
_WANTED = frozenset({STARTED, *_VLLM.values(), *_SGLANG.values(), *_LLAMA.values()})
