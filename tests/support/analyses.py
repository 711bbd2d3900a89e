"""Analyses that were never computed: what a lane may be like, made up by hand for what shows analyses."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.analysis.results import (
    LEAST,
    Agreement,
    Analysis,
    Bucket,
    Choice,
    Confusion,
    Context,
    Dimension,
    Headroom,
    LaneAnalysis,
    Share,
    Weakness,
)

HOSTILE = "\x1b[2J\x07\x9b31m\u202e\ud800|`<b>\n\x7f=1+1"
"""What a terminal, a table, Markdown, HTML or a spreadsheet might obey."""


def share(right: int, count: int) -> Share:
    """A share with an interval, which is only roughly one of 95 %."""
    if not count:
        return Share(None, None, None, 0)
    value = right / count
    half = 1.96 * (value * (1 - value) / count) ** 0.5
    return Share(value, max(0.0, value - half), min(1.0, value + half), count)


def bucket(name: str, right: int, count: int, expected: float | None = 0.6, lost: int | None = None) -> Bucket:
    """A bucket of ``count`` judged tokens."""
    lost = 2 * (count - right) if lost is None else lost
    return Bucket(name, share(right, count), expected, lost, lost + count - right, count >= LEAST)


def dimensions() -> tuple[Dimension, ...]:
    """Every dimension; two of them cannot be computed from this trace."""
    return (
        Dimension("position", "Position in the draft", (bucket("1", 700, 1000, None), bucket("2", 400, 700, None))),
        Dimension(
            "kind",
            "Kind of token",
            (
                bucket("word starts", 640, 1000),
                bucket("numbers", 40, 200, 0.62),
                bucket("punctuation", 190, 200),
                bucket("special tokens", 3, 9),
            ),
        ),
        Dimension("category", "Category", (bucket("coding", 550, 850), bucket("writing", 450, 850))),
        Dimension("context", "Context length", (bucket("under 128 tokens", 800, 1300), bucket("128 to 255", 240, 400))),
        Dimension("distance", "Distance since the last refusal", (bucket("1", 300, 500),)),
        Dimension(
            "copyable", "Copyable from the context", (bucket("not copyable", 90, 300), bucket("copyable", 290, 300))
        ),
        Dimension(
            "repetition",
            "Repetition of the drafter's own token",
            (bucket("no repetition", 900, 1400, 0.3), bucket("a repetition", 20, 60)),
        ),
        Dimension("certainty", "Certainty of the target", (), "no log-probabilities were recorded."),
    )


def lane(name: str = "mtp", title: str = "MTP") -> LaneAnalysis:
    """A lane that is weak at numbers."""
    return LaneAnalysis(
        name,
        title,
        requests=24,
        steps=1000,
        drafted=3000,
        accepted=1100,
        judged=1700,
        lost=1900,
        lost_k=2000,
        dimensions=dimensions(),
        weaknesses=(Weakness("kind", "at numbers", share(40, 200), 0.62, 8.4, 0.21, 96.0),),
        confusions=(
            Confusion(284, 418, " the", " a", 31, 62, (Context("sat on", 0, 0, 12), Context("looked at", 3, 1, 4))),
            Confusion(30, 33, "", "\n", 12, 20, (Context("return x", 2, 0, 9),), ranked=False),
        ),
        sentences=(
            "The drafter is weak at numbers: 20 % accepted where 62 % is expected.",
            "They cost 8.4 tokens per 100 drafted, 21 % of all lost tokens.",
        ),
    )


def headroom(name: str = "mtp") -> Headroom:
    """The headroom of a lane whose drafter is what to work on."""
    return Headroom(
        name,
        (
            Choice("now", "as recorded", 52.4, 1.38, "K=3"),
            Choice("fixed", "best fixed K", 54.0, 1.42, "K=2"),
            Choice("category", "best K per category", 55.5, 1.46, "coding K=3, writing K=1"),
            Choice("oracle", "oracle", 61.0, 1.6, "K as accepted"),
            Choice("bandit", "adaptive K", None, None, missing="too few steps: record a longer run."),
            Choice("perfect", "perfect drafter", 120.0, 3.15, "K=3"),
        ),
        "drafter",
        "Work on the drafter: a perfect one would give 3.15x AR (est.), a better K only 1.42x.",
        "tok/s = tokens per step / (5.1 ms + 3 x 1.9 ms + 27.0 ms)",
    )


def analysis() -> Analysis:
    """Two lanes that can be compared."""
    lanes = (lane(), replace(lane("dflash", "DFlash"), weaknesses=(), sentences=("No weakness stands out.",)))
    agreement = Agreement("mtp", "dflash", 400, 120, 60, 220, share(520, 800), share(460, 800), share(580, 800))
    return Analysis(lanes, (agreement,), (headroom(), headroom("dflash")), ("12 steps were lost.",))


def hostile() -> Analysis:
    """The same with texts that would do harm if they were obeyed."""
    one = analysis().lanes[0]
    bad = Dimension("category", HOSTILE, (bucket(HOSTILE, 500, 800), bucket("\u4f60\u597d" * 30, 2, 9)), HOSTILE)
    confusion = Confusion(1, 2, HOSTILE, HOSTILE, 3, 9, (Context(HOSTILE, 0, 0, 1),))
    changed = replace(
        one, lane=HOSTILE, title=HOSTILE, dimensions=(bad,), confusions=(confusion,), sentences=(HOSTILE,)
    )
    chance = replace(headroom(HOSTILE), sentence=HOSTILE, formula=HOSTILE)
    chance = replace(chance, choices=(Choice("now", HOSTILE, 1.0, 1.0, HOSTILE),))
    return Analysis((changed,), (), (chance,), (HOSTILE,))
