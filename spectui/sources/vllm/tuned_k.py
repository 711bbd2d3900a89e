"""The best K that searches found on this machine, kept in the cache folder so that lanes begin with it.

Owns ``tuned-k.json``: what must be the same for a result to apply again, which results are worth keeping, and a file
that several programs write. Nothing here is an error: what cannot be read or written is reported in the log.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spectui.protocol.events import TuneEnded, TuneWhy
from spectui.protocol.limits import MAX_K
from spectui.sources.demo_model.cache import cache_root
from spectui.sources.demo_model.drafters import uses_demo_drafter
from spectui.sources.vllm.lane_spec import LaneSpec

logger = logging.getLogger(__name__)

FILE = "tuned-k.json"
FORMAT = 1
MOST_RESULTS = 500
"""Results that are kept; the oldest are dropped."""
MOST_BYTES = 1 << 20

KEPT: frozenset[TuneWhy] = frozenset({"separated", "outrun", "same", "budget"})
LEAST_TURNS = 2
"""A single turn has no interval: its best K may be due to chance."""

LOCK_TRIES, LOCK_WAIT_S = 20, 0.05

_SAME_FORMAT = {"half": "float16", "float": "float32"}
_UNCHANGED: Mapping[str, Any] = {"quantization": None, "kv_cache_dtype": "auto", "tensor_parallel_size": 1}
"""Further engine arguments that change what a step costs, beside those with an entry of their own; with their
defaults."""


class _NewerError(ValueError):
    """The file was written by a newer version of this program."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What must be the same for a result to apply again.

    Attributes:
        machine: The hardware.
        target: The target's id, or its path.
        drafter: The method with all its options except K.
        dtype: The number format.
        engine: Eager or compiled, and other engine arguments that change what a step costs.
        requests: Requests in flight.
    """

    machine: str
    target: str
    drafter: str
    dtype: str
    engine: str
    requests: int


@dataclass(frozen=True, slots=True)
class Best:
    """The result of a search.

    Attributes:
        k: The best K.
        k_max: The K that the lane was built for.
        tok_s: Throughput at the best K, None if it is not known.
        why: Why the search ended.
        when: The end of the search, in UTC.
    """

    k: int
    k_max: int
    tok_s: float | None
    why: str
    when: str


class TunedK:
    """The results for one machine, target and set of engine arguments.

    The file is read once at the start, and again when a result is added.
    """

    def __init__(
        self,
        machine: str,
        target: str,
        engine_args: Mapping[str, Any],
        *,
        auto: str = "auto",
        path: Path | None = None,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Read the known results.

        Args:
            machine: The hardware.
            target: The target's id, or its path.
            engine_args: vLLM engine arguments of every lane.
            auto: The target's own number format, if that is known.
            path: The file; by default the one in the cache folder.
            now_s: The clock.
        """
        dtype = str(engine_args.get("dtype") or "auto").lower()
        self._machine = machine
        self._target = target
        self.dtype = auto if dtype == "auto" else _SAME_FORMAT.get(dtype, dtype)
        self._engine = _engine(engine_args)
        self._path = path or tuned_file()
        self._now_s = now_s
        try:
            self._results = _read(self._path)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used, so lanes begin with their default K: %s", self._path, _reason(error))
            self._results = []

    def best(self, spec: LaneSpec, requests: int) -> Best | None:
        """The result of the last search for such a lane with this many requests in flight; None if there was none."""
        wanted = asdict(self._setting(spec, requests))
        found = (_best(result) for result in reversed(self._results) if _is_of(result, wanted))
        return next((best for best in found if best is not None), None)

    def remember(self, spec: LaneSpec, ended: TuneEnded) -> bool:
        """Keep the result of a search for such a lane, if it found anything; returns whether it is now in the file."""
        last = ended.last
        if ended.why not in KEPT or last.turn < LEAST_TURNS:
            return False
        tok_s = next((figure.tok_s for figure in last.figures if figure.k == last.best), None)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now_s()))
        setting = asdict(self._setting(spec, last.requests))
        try:
            self._add(setting, asdict(Best(last.best, spec.k_max, tok_s, ended.why, when)))
        except (OSError, ValueError) as error:
            logger.warning("the best K cannot be kept in %s: %s", self._path, _reason(error))
            return False
        logger.info("K = %d of %s is kept in %s", last.best, ended.lane, self._path)
        return True

    def _setting(self, spec: LaneSpec, requests: int) -> Setting:
        return Setting(self._machine, self._target, drafter(spec), self.dtype, self._engine, requests)

    def _add(self, setting: Mapping[str, Any], best: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self._path.parent):
            try:
                results = _read(self._path)
            except _NewerError:
                raise
            except ValueError as error:
                logger.warning("%s is being rewritten: %s", self._path, error)
                results = []
            kept = [result for result in results if not _is_of(result, setting)][1 - MOST_RESULTS :]
            self._results = [*kept, {**setting, **best}]
            _write(self._path, self._results)


def tuned_file() -> Path:
    """The file in which results are kept."""
    return cache_root(None) / FILE


def full_name(model: str) -> str:
    """The full path of a model in a folder; any other name is returned as it is."""
    try:
        path = Path(model).expanduser()
        return str(path.resolve()) if path.exists() else model
    except (OSError, ValueError, RuntimeError):
        return model


def drafter(spec: LaneSpec) -> str:
    """The method with all its options except K, as text; a drafter in a folder is given by its full path."""
    options = {**spec.options}
    if uses_demo_drafter(spec.method, options):
        options["model"] = "the demo's"
    elif isinstance(model := options.get("model"), str):
        options["model"] = full_name(model)
    return " ".join([spec.method, *(f"{name}={_text(options[name])}" for name in sorted(options))])


def _engine(arguments: Mapping[str, Any]) -> str:
    words = ["eager" if arguments.get("enforce_eager") else "compiled"]
    for name, default in _UNCHANGED.items():
        value = arguments.get(name, default)
        if value not in (None, default):
            words.append(f"{name}={_text(value)}")
    return " ".join(words)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _read(path: Path) -> list[Any]:
    """The results in the file; empty if there is no file.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds something else; a sentence says what.
    """
    if not path.exists():
        return []
    if not path.is_file():
        raise ValueError("not a file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large to be a list of results")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError("damaged: delete it") from error
    version = content.get("format") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise _NewerError("written by a newer version of SpecTUI")
    if version != FORMAT or not isinstance(content.get("results"), list):
        raise ValueError("not a list of results: delete it")
    results: list[Any] = content["results"]
    return results


def _write(path: Path, results: list[Any]) -> None:
    """Write the file in one rename, so that a reader sees either the old results or the new ones."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="ascii") as file:
            json.dump({"format": FORMAT, "results": results}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other programs from writing meanwhile, unless one of them hangs: then the lock is given up after a while,
    and one of two results may be lost, but nothing else."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_WAIT_S)
            except OSError:
                # Some network folders do not support locks.
                break
            else:
                break
        yield
    finally:
        os.close(descriptor)


def _is_of(result: Any, setting: Mapping[str, Any]) -> bool:
    return isinstance(result, dict) and all(result.get(name) == value for name, value in setting.items())


def _best(result: Mapping[str, Any]) -> Best | None:
    """The result; None if this program would not have written it like that."""
    k, k_max, tok_s = (result.get(name) for name in ("k", "k_max", "tok_s"))
    if type(k) is not int or type(k_max) is not int or not 0 <= k <= k_max <= MAX_K or not k_max:
        return None
    known = isinstance(tok_s, int | float) and math.isfinite(tok_s)
    return Best(k, k_max, tok_s if known else None, str(result.get("why", "")), str(result.get("when", "")))


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
