"""Why a server's drafts are hidden, and why its K stays, as an operator reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from spectui.serving import about
from spectui.serving.about import WORKER, drafting, why_fixed, why_hidden
from spectui.sources.attached import sense
from tests.support.viewers import ABOUT


def config(
    *, v2: bool = False, asynchronous: bool = False, extension: str = "", ranks: int = 1, graphs: bool = False
) -> Any:
    return SimpleNamespace(
        use_v2_model_runner=v2,
        num_speculative_tokens=3,
        speculative_config=SimpleNamespace(method="mtp"),
        model_config=SimpleNamespace(is_diffusion=False),
        scheduler_config=SimpleNamespace(async_scheduling=asynchronous),
        parallel_config=SimpleNamespace(worker_extension_cls=extension, data_parallel_size=ranks),
        compilation_config=SimpleNamespace(cudagraph_mode=SimpleNamespace(has_full_cudagraphs=lambda: graphs)),
    )


@pytest.mark.parametrize(
    ("chosen", "because"),
    [
        (config(), ""),
        (config(v2=True), "model runner V2 keeps them"),
        (config(asynchronous=True), "it schedules steps before it knows their drafts"),
        (config(v2=True, asynchronous=True), "it schedules steps before it knows their drafts"),
        (config(v2=True, asynchronous=True, extension=WORKER), ""),
        (config(v2=True, extension="spectui.serving.worker.TracingWorker"), ""),
        (config(v2=True, extension="somebody.else.Worker"), "model runner V2 keeps them"),
    ],
)
def test_why_drafts_are_hidden(chosen: Any, because: str) -> None:
    why = why_hidden(chosen, 3)
    assert because in why
    assert bool(why) == bool(because)
    assert not why or why.endswith("start it with --worker-extension-cls spectui.serving.TracingWorker")
    # A server that drafts nothing hides nothing.
    assert why_hidden(chosen, 0) == ""


@pytest.mark.parametrize(
    ("chosen", "k_max", "needs_all", "begins"),
    [
        (config(), 3, False, ""),
        (config(), 0, False, "this server drafts nothing"),
        (config(), 3, True, "K stays 3: this processor has no AMX"),
        (config(ranks=2), 3, False, "K stays 3: the data-parallel ranks"),
        (config(graphs=True), 3, False, "K stays 3: model runner V1 has whole CUDA graphs"),
        (config(graphs=True, v2=True), 3, False, ""),
    ],
)
def test_why_k_stays(chosen: Any, k_max: int, needs_all: bool, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "needs_all_drafts", lambda cache: needs_all)
    why = why_fixed(chosen, None, k_max)
    assert why.startswith(begins)
    assert bool(why) == bool(begins)


@pytest.mark.parametrize(("index", "size", "place"), [(0, 1, (0, 1)), (1, 4, (1, 4)), (2, 1, (2, 3))])
def test_viewers_believe_every_rank(index: int, size: int, place: tuple[int, int]) -> None:
    """The last one is of a dense model."""
    rank, ranks = about.place_among_ranks(SimpleNamespace(data_parallel_index=index, data_parallel_size=size))
    assert (rank, ranks) == place
    assert sense.sound_about(msgspec.structs.replace(ABOUT, dp_rank=rank, dp_size=ranks))


def test_what_a_server_drafts_with() -> None:
    chosen = config()
    assert drafting(chosen) == ("mtp", 3)
    chosen.speculative_config = None
    assert drafting(chosen) == ("ar", 0)
    # vLLM passes a canvas as if it were drafted, but nothing is.
    chosen.model_config.is_diffusion = True
    assert drafting(chosen) == ("diffusion", 0)
