"""What the counters of a server come to over the last seconds."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.attached.meters import CounterMeter
from spectui.protocol.serving import CounterSample

FIRST = CounterSample("e1", 1_000_000_000, drafts=10, accepted=20, emitted=100)
SECOND = replace(FIRST, at_ns=3_000_000_000, drafts=20, accepted=45, emitted=180)


def metered(*samples: CounterSample) -> CounterMeter:
    meter = CounterMeter()
    for sample in samples:
        meter.add(sample)
    return meter


def test_an_answer_that_made_no_sense_changes_its_count_only() -> None:
    meter = metered(FIRST, SECOND, replace(SECOND, malformed=1), replace(SECOND, malformed=2))
    assert meter.last is not None
    assert meter.last.malformed == 2
    assert (meter.tok_s(), meter.emitted, meter.grown(lambda sample: sample.drafts)) == (40.0, 80, 10)


def test_a_counter_that_is_left_out_once_is_not_counted_anew() -> None:
    without = replace(SECOND, at_ns=5_000_000_000, drafts=None, emitted=None)
    third = replace(SECOND, at_ns=7_000_000_000, drafts=24, emitted=200)
    meter = metered(FIRST, SECOND, without, third)
    assert (meter.drafts, meter.accepted, meter.emitted) == (14, 25, 100)
    # A server that began again has counted all of it since.
    begun = replace(third, drafts=3, emitted=7)
    assert metered(FIRST, SECOND, without, begun).emitted == 87


def test_a_stated_throughput_goes_before_a_counter_that_lags_behind() -> None:
    assert metered(FIRST, replace(SECOND, tok_s=12.5)).tok_s() == 12.5
    assert metered(replace(FIRST, emitted=None, tok_s=7.0)).tok_s() == 7.0
    assert metered(FIRST).tok_s() is None
