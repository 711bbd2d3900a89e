"""The tap sees which steps read a part of a prompt; no engine is loaded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest


@pytest.mark.engine
def test_a_part_of_a_prompt_is_seen_although_it_brings_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from spectui.sources.vllm.tap import TapScheduler

    monkeypatch.setattr(TapScheduler.untapped, "update_from_output", lambda *_: {})
    tap = object.__new__(TapScheduler)
    tap._verified, tap._preempted, tap._k_of_drafts = [], [], 2
    tap.requests = {name: SimpleNamespace(is_finished=lambda: False) for name in ("long", "answers")}
    seen = []
    for long in ([], [5], []):
        scheduled = SimpleNamespace(
            num_scheduled_tokens={"answers": 3, "long": 256},
            scheduled_spec_decode_tokens={"answers": [1, 2]},
            num_spec_tokens_to_schedule=2,
        )
        sampled = SimpleNamespace(sampled_token_ids=[[1, 2, 3], long], req_id_to_index={"answers": 0, "long": 1})
        tap.update_from_output(scheduled, sampled)
        seen.append((tap.reading, [record.request for record in tap.take()[0]]))
    assert seen == [(True, ["answers"]), (False, ["answers", "long"]), (True, ["answers"])]
