"""The charts of a benchmark."""

from __future__ import annotations

from collections.abc import Callable

from spectui.bench.reports.charts.bars import Bar, Group, bars
from spectui.bench.reports.charts.dots import Column, dots
from spectui.bench.reports.charts.lines import Line, lines
from spectui.bench.reports.document import Chart
from spectui.bench.reports.selection import Place, Selection, context_name
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.matrix import Variant
from spectui.figures import number_text, ratio_text, three_digits

_MOST_LINES = 8
_MOST_COLUMNS = 6
_MOST_STACKS = 8
_MOST_PLACES = 4


def throughput_charts(chosen: Selection) -> list[Chart]:
    """Speed-ups by lane and concurrency, or tokens per second where there is no AR; a chart for each context."""
    charts = []
    for context in dict.fromkeys(place.context for place in chosen.places):
        where = _context(chosen, context)
        if chosen.reference is not None and chosen.others:
            name, title = "speedup", "Speed-up over AR"
            about = f"By requests in flight{where}; whiskers are 95 % intervals."
            groups = _groups(chosen, chosen.others, _speedup_bar, context)
            drawn = bars(_name(name, context), title, about, groups, unit="x", mark=1.0, marked="AR")
        else:
            name, title, about = (
                "throughput",
                "Throughput",
                f"Completion tokens per second, by requests in flight{where}.",
            )
            groups = _groups(chosen, chosen.results.matrix.variants, _throughput_bar, context)
            drawn = bars(_name(name, context), title, about, groups, unit="")
        if groups:
            charts.append(Chart(_name(name, context), f"{title}. {about}", drawn))
    return charts


def _name(name: str, context: int | None) -> str:
    return name if context is None else f"{name}-context-{context}"


def _context(chosen: Selection, context: int | None) -> str:
    return f", {context_name(context)}" if chosen.has_contexts else ""


def acceptance_charts(chosen: Selection) -> list[Chart]:
    """Acceptance by position, for each context, with the fewest requests in flight."""
    first: dict[int | None, Place] = {}
    for place in chosen.places:
        first.setdefault(place.context, place)
    charts = []
    variants = _few(chosen.drafting)
    only = "" if len(variants) == len(chosen.drafting) else ", largest K of each lane"
    for context, place in first.items():
        drawn = [
            Line(chosen.title(one), chosen.look(one), figures.spec_decode_per_position_acceptance_rates)
            for one in variants
            if (figures := chosen.whole(place, one)) and figures.spec_decode_num_drafts
        ]
        if drawn:
            name, title = _name("acceptance", context), "Acceptance by position"
            where = f"{place.concurrency} in flight{_context(chosen, context)}{only}"
            about = f"Share of steps with the first i drafted tokens all accepted; {where}."
            charts.append(Chart(name, f"{title}. {about}", lines(name, title, about, drawn)))
    return charts


def _few(variants: tuple[Variant, ...]) -> list[Variant]:
    """All variants, or only the largest K of each lane if they are too many to be told apart."""
    if len(variants) <= _MOST_LINES:
        return list(variants)
    return [one for one in variants if one.k == max(other.k for other in variants if other.lane == one.lane)]


def category_charts(chosen: Selection) -> list[Chart]:
    """Speed-ups by category at each place, or acceptance lengths where there is no AR."""
    charts = []
    places = chosen.places
    for place in places if len(places) <= _MOST_PLACES else (places[0], places[-1]):
        categories = chosen.finished(place)
        if len(categories) < 2:
            continue
        variants = chosen.others if chosen.reference is not None else chosen.drafting
        too_many = len(variants) > _MOST_COLUMNS
        shown = [one for one in variants if not too_many or one in chosen.best_of_each_lane(place)]
        if not shown:
            continue
        about = f"{chosen.place_name(place)}{', fastest K of each lane' if too_many else ''}."
        if chosen.reference is not None:
            key, title, unit, mark = "speedup", "Speed-up over AR by category", "x", 1.0
        else:
            key, title, unit, mark = "spec_decode_acceptance_length", "Acceptance length by category", "", None
        columns = [
            Column(
                chosen.title(one),
                chosen.look(one),
                tuple(getattr(chosen.one(place, category, one), key, None) for category in categories),
            )
            for one in shown
        ]
        name = _name(f"by-category-{place.concurrency}", place.context)
        drawn = dots(name, title, about, categories, columns, unit=unit, mark=mark)
        charts.append(Chart(name, f"{title}. {about}", drawn))
    return charts


def step_charts(chosen: Selection) -> list[Chart]:
    """The parts of a step's time; a chart for each context."""
    variants, only = chosen.results.matrix.variants, ""
    if len(variants) > _MOST_STACKS and chosen.places:
        best = chosen.best_of_each_lane(chosen.places[0])
        variants = tuple(one for one in variants if one == chosen.reference or one in best)
        only = ", fastest K of each lane"
    charts = []
    for context in dict.fromkeys(place.context for place in chosen.places):
        name, title = _name("step-time", context), "Time of an engine step"
        parts = "drafting (solid) + verifying (paler) + the rest (palest)"
        about = f"Mean of all steps: {parts}{_context(chosen, context)}{only}."
        if groups := _groups(chosen, variants, _step_bar, context):
            charts.append(Chart(name, f"{title}. {about}", bars(name, title, about, groups, unit=" ms")))
    return charts


_Maker = Callable[[Selection, Variant, CellFigures], Bar | None]


def _groups(chosen: Selection, variants: tuple[Variant, ...], make: _Maker, context: int | None) -> list[Group]:
    """The bars of the variants at each number of requests in flight."""
    groups = []
    for place in (one for one in chosen.places if one.context == context):
        own = [
            bar
            for one in variants
            if (figures := chosen.whole(place, one)) is not None
            if (bar := make(chosen, one, figures)) is not None
        ]
        if own:
            groups.append(Group(f"{place.concurrency} in flight", tuple(own)))
    return groups


def _speedup_bar(chosen: Selection, variant: Variant, figures: CellFigures) -> Bar | None:
    low, high = figures.speedup_ci_low, figures.speedup_ci_high
    if figures.speedup is None:
        return None
    said = ratio_text(figures.speedup)
    if low is not None and high is not None:
        said += f" ({low:.2f} to {high:.2f})"
    return Bar(chosen.title(variant), chosen.look(variant), (figures.speedup,), said, low, high)


def _throughput_bar(chosen: Selection, variant: Variant, figures: CellFigures) -> Bar | None:
    rate = figures.output_throughput
    if rate is None:
        return None
    return Bar(chosen.title(variant), chosen.look(variant), (rate,), f"{three_digits(rate)} tok/s")


def _step_bar(chosen: Selection, variant: Variant, figures: CellFigures) -> Bar | None:
    if figures.step_ms is None:
        return None
    title, look, said = chosen.title(variant), chosen.look(variant), f"{figures.step_ms:.1f} ms"
    if figures.verify_ms is None or figures.rest_ms is None:
        return Bar(title, look, (figures.step_ms,), f"{said}, parts unknown")
    numbers = [number_text(part, form=".1f") for part in (figures.draft_ms, figures.verify_ms, figures.rest_ms)]
    parts = (figures.draft_ms or 0.0, figures.verify_ms, figures.rest_ms)
    return Bar(title, look, parts, f"{said} = {' + '.join(numbers)}")
