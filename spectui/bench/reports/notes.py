"""What a reader has to know before believing the figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from spectui.bench.reports.document import Block, Inline, Items, Mono, Paragraph, Strong, Text, joined
from spectui.bench.reports.selection import Place, Selection
from spectui.core.bench.results import Cell

_ALWAYS = ("energy_per_token_j", "estimated_mbu")
"""These have a section of their own."""

_EXPECTED = ("the lane drafts nothing", "there is no AR lane to compare with")
"""These go without saying."""

_MOST_SAID = 10


def notes(chosen: Selection) -> list[Block]:
    """The caveats of the figures, or that there are none."""
    items = [*_unfinished(chosen), *_disturbed(chosen), *_lanes(chosen), *_disagreements(chosen), *_unknown(chosen)]
    if not items:
        return [
            Paragraph(
                "No caveats: every cell is finished, no repetition was disturbed, none was measured again, all "
                "engines compute alike as far as is known, and all counts agree with vLLM's own."
            )
        ]
    if not chosen.results.repeated:
        items.append("Turns that were measured again because other programs disturbed them: none (0).")
    return [Items(tuple(items))]


def _unfinished(chosen: Selection) -> list[Text]:
    results = chosen.results
    items: list[Text] = []
    if not results.complete:
        all_cells = len(results.matrix.blocks) * len(results.matrix.variants)
        items.append((Strong("Not finished"), f": {len(results.cells)} of {all_cells} cells are measured."))
        behind = [
            f"{chosen.place_name(place)}, {done} of {planned}"
            for place in chosen.places
            if (done := len(chosen.finished(place))) < (planned := _planned(chosen, place))
        ]
        if behind:
            items.append(f"Rows over all categories cover only those finished so far: {'; '.join(behind)}.")
    return items + [_sentence(sentence[:1].upper() + sentence[1:]) for sentence in results.left_out]


def _planned(chosen: Selection, place: Place) -> int:
    return sum(Place(block.concurrency, block.context) == place for block in chosen.results.matrix.blocks)


def _disturbed(chosen: Selection) -> list[Text]:
    results = chosen.results
    items: list[Text] = []
    if results.repeated:
        how_often = "once" if results.repeated == 1 else f"{results.repeated:,} times"
        items.append(
            f"Turns that other programs disturbed were measured again, {how_often} in all; only the last measurement "
            "of each counts."
        )
    if cells := [cell for cell in results.cells if cell.figures.disturbed]:
        count = sum(cell.figures.disturbed for cell in cells)
        items.append(
            (
                Strong("Disturbed"),
                f": {count} {_plural(count, 'repetition')} in {len(cells)} {_plural(len(cells), 'cell')} "
                f"{'was' if count == 1 else 'were'} still disturbed by other programs when measured again, or could "
                f"not be, and {'is' if count == 1 else 'are'} included in the figures: "
                f"{_few([_where(chosen, cell) for cell in cells])}. Measure again on a quiet machine.",
            )
        )
    return items


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _few(names: list[str]) -> str:
    more = len(names) - _MOST_SAID
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:_MOST_SAID])} and {more} more"


def _where(chosen: Selection, cell: Cell) -> str:
    padded = "" if cell.context is None else f" at {cell.context:,}"
    return f"{chosen.title(cell.variant)} ({cell.category}, {cell.concurrency} in flight{padded})"


def _lanes(chosen: Selection) -> list[Text]:
    items: dict[Text, None] = {}
    for note in chosen.results.header.lanes:
        if note.not_comparable:
            items[(Strong("Not comparable"), ": ", Mono(note.lane), f" {_sentence(note.not_comparable)}")] = None
        if note.warning:
            items[(Strong("Self-test"), " of ", Mono(note.lane), f": {_sentence(note.warning)}")] = None
    for lane, seen in chosen.results.smoke.items():
        if isinstance(seen, Mapping) and (fault := seen.get("fault")):
            items[(Strong("Smoke test"), " of ", Mono(lane), f": {_sentence(str(fault))}")] = None
    return list(items)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _disagreements(chosen: Selection) -> list[Text]:
    said = [
        f"{_where(chosen, cell)}: {sentence}"
        for cell in chosen.results.cells
        for sentence in cell.figures.disagreements
    ]
    items: list[Text] = [(Strong("Counts differ from vLLM's"), f": {_sentence(one)}") for one in said[:_MOST_SAID]]
    if len(said) > _MOST_SAID:
        items.append(f"{len(said) - _MOST_SAID} more such differences are in results.json.")
    return items


def _unknown(chosen: Selection) -> list[Text]:
    """A sentence for each reason why figures are unknown."""
    count: Counter[tuple[str, str]] = Counter()
    for cell in chosen.results.cells:
        count.update((key, why) for key, why in _surprising(cell.figures.unknown).items())
    by_reason: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for (key, why), cells in count.items():
        by_reason[why, cells].append(key)
    items: list[Text] = []
    for (why, cells), keys in by_reason.items():
        named: tuple[Inline, ...] = joined([Mono(key) for key in keys])
        of = f"in {cells} of {len(chosen.results.cells)} cells"
        items.append((Strong("Unknown"), f" {of}, because {why}: ", *named))
    return items


def _surprising(unknown: Mapping[str, str]) -> dict[str, str]:
    return {key: why for key, why in unknown.items() if key not in _ALWAYS and why not in _EXPECTED}
