"""What of the results a report shows where: cells by place, category and variant, and what variants are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from spectui.bench.reports.charts.canvas import Look
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.matrix import Variant
from spectui.core.bench.results import Results


@dataclass(frozen=True, slots=True)
class Place:
    """What rows of most tables are: requests in flight at a context."""

    concurrency: int
    context: int | None


class Selection:
    """Finds figures in results.

    Attributes:
        results: The results.
        reference: What the others are compared with; None without AR.
        drafting: Variants with a draft, in the order of the matrix.
        others: All variants but the reference.
        places: Concurrencies and contexts of which anything is finished, in the order of the matrix.
        categories: Categories of which anything is finished, in the order of the matrix.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        matrix = results.matrix
        self.reference = matrix.reference
        self.others = tuple(one for one in matrix.variants if one != self.reference)
        self.drafting = tuple(one for one in self.others if one.k)
        self._one = {
            (cell.concurrency, cell.context, cell.category, cell.variant.name): cell.figures for cell in results.cells
        }
        self._all = {(cell.concurrency, cell.context, cell.variant.name): cell.figures for cell in results.pooled}
        done = {(cell.concurrency, cell.context) for cell in results.cells}
        places = dict.fromkeys((block.concurrency, block.context) for block in matrix.blocks)
        self.places = tuple(Place(*place) for place in places if place in done)
        finished = {cell.category for cell in results.cells}
        self.categories = tuple(
            name for name in dict.fromkeys(block.category for block in matrix.blocks) if name in finished
        )
        self._several_contexts = len({place.context for place in self.places}) > 1
        titles = Counter(_title(variant) for variant in matrix.variants)
        self._titles = {one.name: _title(one) if titles[_title(one)] == 1 else one.name for one in matrix.variants}

    def finished(self, place: Place) -> tuple[str, ...]:
        """The categories that are finished at a place."""
        return tuple(name for name in self.categories if self._has(place, name))

    def _has(self, place: Place, category: str) -> bool:
        names = (one.name for one in self.results.matrix.variants)
        return any((place.concurrency, place.context, category, name) in self._one for name in names)

    def one(self, place: Place, category: str, variant: Variant) -> CellFigures | None:
        """The figures of a cell; None if it is not finished."""
        return self._one.get((place.concurrency, place.context, category, variant.name))

    def whole(self, place: Place, variant: Variant) -> CellFigures | None:
        """The figures over all categories that are finished there; None if none is."""
        pooled = self._all.get((place.concurrency, place.context, variant.name))
        if pooled is not None:
            return pooled
        categories = self.finished(place)
        return self.one(place, categories[0], variant) if len(categories) == 1 else None

    def rows(self, variants: tuple[Variant, ...]) -> Iterator[tuple[Place, Variant, CellFigures]]:
        """Every variant at every place, as far as it is finished."""
        for place in self.places:
            for variant in variants:
                figures = self.whole(place, variant)
                if figures is not None:
                    yield place, variant, figures

    def title(self, variant: Variant) -> str:
        """What a variant is called in a report: ``DFlash K=7``, or by its lane's name if two would be called so."""
        return self._titles[variant.name]

    def place_name(self, place: Place) -> str:
        """``4 in flight``, with the context where there are several."""
        name = f"{place.concurrency} in flight"
        return f"{name}, {context_name(place.context)}" if self._several_contexts else name

    def place_cells(self, place: Place) -> tuple[str, ...]:
        """A place as cells of a table."""
        context = "unpadded" if place.context is None else f"{place.context:,}"
        return (str(place.concurrency), context) if self.has_contexts else (str(place.concurrency),)

    @property
    def place_head(self) -> tuple[str, ...]:
        """The heads of `place_cells`."""
        return ("in flight", "context") if self.has_contexts else ("in flight",)

    @property
    def has_contexts(self) -> bool:
        """Whether a table needs a column for the context: there are several, or prompts were padded."""
        return any(place.context is not None for place in self.places)

    def unlike(self, variant: Variant) -> str:
        """How the variant's engine differs from AR's; empty if it does not."""
        notes = (note for note in self.results.header.lanes if note.lane == variant.lane)
        return next((note.not_comparable for note in notes if note.not_comparable), "")

    def look(self, variant: Variant) -> Look:
        """How a variant looks in charts: the same in all of them."""
        if variant.plain:
            return Look(0)
        lanes = list(dict.fromkeys(one.lane for one in self.results.matrix.variants if not one.plain))
        ks = [one.k for one in self.results.matrix.variants if one.lane == variant.lane]
        return Look(1 + lanes.index(variant.lane), ks.index(variant.k))

    def best_of_each_lane(self, place: Place) -> tuple[Variant, ...]:
        """Of each lane but the reference the variant with the most tokens per second at a place."""
        best: dict[str, Variant] = {}
        for variant in self.others:
            kept = best.setdefault(variant.lane, variant)
            if self._rate(place, variant) > self._rate(place, kept):
                best[variant.lane] = variant
        return tuple(best.values())

    def _rate(self, place: Place, variant: Variant) -> float:
        figures = self.whole(place, variant)
        return figures.output_throughput or 0.0 if figures is not None else 0.0


def context_name(context: int | None) -> str:
    """``unpadded``, or ``context 8,192``."""
    return "unpadded" if context is None else f"context {context:,}"


def _title(variant: Variant) -> str:
    return f"{variant.title} K={variant.k_text}" if variant.drafts else variant.title
