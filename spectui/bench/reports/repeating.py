"""How somebody else repeats a benchmark: the code, one whole command, and what should come out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from spectui.bench.matrix.surroundings import WITH_CHANGES
from spectui.bench.reports.document import Block, Code, Inline, Items, Mono, Paragraph, Text
from spectui.bench.reports.selection import Selection
from spectui.core.bench.results import Header, Results
from spectui.setup.config import DEMO_TARGET
from spectui.sources.hardware import DEMO_DTYPE, NUMBER_FORMATS

_SHORT_COMMIT = 12


def repeat(chosen: Selection) -> list[Block]:
    """The command, and what has to be the same for it to mean the same."""
    header = chosen.results.header
    command = whole_command(chosen.results)
    blocks: list[Block] = [Paragraph(_code(header)), Paragraph(_prompts(header)), Code(command)]
    if command != header.command:
        typed: Inline = Mono(header.command)
        blocks.append(Paragraph(("This is what was typed, with the lanes and their K written out: ", typed, ".")))
    if settings := list(_settings(header)):
        blocks.append(Paragraph(tuple(settings)))
    if (dtype := _demo_dtype(header)) is not None:
        forced: Inline = Mono(f"{DEMO_DTYPE}={dtype}")
        blocks.append(
            Paragraph(
                (
                    f"The demo model was computed in {dtype}, which changes counts and speed alike. Where SpecTUI "
                    "would choose another number format, set ",
                    forced,
                    ".",
                )
            )
        )
    if traces := [name for cell in chosen.results.cells for name in cell.traces]:
        shown: tuple[Inline, ...] = ("; ", Mono("spectui replay"), " shows it step by step.")
        blocks.append(
            Paragraph(("The first repetition of every cell was recorded, for example ", Mono(traces[0]), *shown))
        )
    return [*blocks, Paragraph("What to expect:"), Items(tuple(_expected(chosen.results)))]


def _code(header: Header) -> Text:
    """Which code and engine, and how to install them."""
    versions = header.environment.get("versions")
    engines = [
        f"{name} {version}"
        for name, version in (versions.items() if isinstance(versions, Mapping) else ())
        if name.startswith("vllm")
    ]
    vllm = engines[0].replace("vllm ", "vLLM ") if engines else "the same vLLM"
    commit, changed, _ = str(header.environment.get("commit", "")).partition(WITH_CHANGES)
    checkout: tuple[Inline, ...] = (Mono(f"git checkout {commit[:_SHORT_COMMIT]}"), ", then ") if commit else ()
    apart = " The code had changes that are in no commit, so this may not be quite the same program." if changed else ""
    return (
        f"Use SpecTUI {header.version} and {vllm}. To install: in a checkout of SpecTUI's repository, ",
        *checkout,
        Mono(f"make setup ROUTE={'gpu' if header.gpu else 'cpu'}"),
        "; ",
        Mono("spectui"),
        " is then ",
        Mono(".venv/bin/spectui"),
        f". Compare the versions with those under Environment.{apart}",
    )


def _prompts(header: Header) -> Text:
    """Where the prompts come from, and what to change in the command."""
    if header.prompts.source == "built-in":
        texts = "The prompts are built in."
    else:
        texts = "The prompts must be the same: their SHA-256, which the new report shows too, must be the one above"
        texts += "; they come in on standard input." if header.prompts.source == "standard input" else "."
    return (
        f"{texts} Relative paths in the command start from the folder where it was run.",
        *((" Give ", Mono("--out"), " a new folder.") if "--out" in header.command else ()),
    )


def _settings(header: Header) -> Iterator[Inline]:
    """What of the environment variables whoever repeats it has to set."""
    settings = header.environment.get("settings")
    named = {name: value for name, value in settings.items() if value} if isinstance(settings, Mapping) else {}
    by_user = header.environment.get("set_by_user")
    if not named:
        return
    yield "Environment variables: "
    if not isinstance(by_user, list):
        yield "SpecTUI sets those under Environment itself, unless they are set already."
        return
    theirs = [name for name in named if name in by_user]
    if not theirs:
        yield "SpecTUI set all of those under Environment itself, so there is nothing to set."
        return
    for at, name in enumerate(theirs):
        yield ", " if at else ""
        yield Mono(f"{name}={named[name]}")
    one = len(theirs) == 1
    yield f" {'was' if one else 'were'} set before SpecTUI started: set {'it' if one else 'them'} too."
    if len(theirs) < len(named):
        yield " SpecTUI set the others under Environment itself."


def _demo_dtype(header: Header) -> str | None:
    """The number format of the demo model; None if that is not known, or if the target is another one."""
    engine = next((note.engine for note in header.lanes if note.engine is not None), None)
    known = engine.dtype if engine is not None and engine.dtype else header.environment.get("demo_dtype")
    return str(known) if header.target == DEMO_TARGET and known in NUMBER_FORMATS else None


def _expected(results: Results) -> Iterator[Text]:
    """What of the figures should come out again, and how to compare."""
    automatic = any(variant.auto for variant in results.matrix.variants)
    if not results.matrix.sampling.temperature:
        yield (
            "On the same machine with the same versions, what was counted (steps with a draft, drafted, accepted, and "
            "so acceptance) should be equal: this run is greedy, so nothing in it is drawn by chance. Elsewhere a few "
            "near ties between tokens may fall the other way."
            + (" A lane with K=auto chooses K by the clock, so its counts may differ." if automatic else "")
        )
    if results.matrix.reference is not None:
        yield (
            "Speed-ups need not be equal: on the same machine their 95 % intervals should usually overlap. tok/s "
            "depend on the machine."
        )
    yield "Let nothing else run: a machine with other load gives false speed-ups."
    yield (
        Mono("spectui bench --diff A B"),
        " compares two runs. It needs the folders of both, not only their reports.",
    )


def whole_command(results: Results) -> str:
    """The command that was typed, with every lane at the K that was measured, so that it does not depend on defaults or
    on what a search found on a machine."""
    header = results.header
    try:
        typed = shlex.split(header.command)
    except ValueError:
        return header.command
    measured: dict[str, list[str]] = {}
    for variant in results.matrix.variants:
        measured.setdefault(variant.lane, []).append(f"auto:{variant.k}" if variant.auto else str(variant.k))
    if typed[:2] != ["spectui", "bench"] or any(note.lane not in measured for note in header.lanes):
        return header.command
    lanes = [pinned_spec(note.spec, measured[note.lane]) for note in header.lanes]
    own, rest = _without_lanes(typed[2:])
    if own == lanes:
        return header.command
    return shlex.join([*typed[:2], *(word for spec in lanes for word in ("--lane", spec)), *rest])


def _without_lanes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lane specs of a command, and its other words."""
    specs: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--lane":
            specs.append(next(left, ""))
        elif word.startswith("--lane="):
            specs.append(word.removeprefix("--lane="))
        else:
            rest.append(word)
    return specs, rest


def pinned_spec(spec: str, ks: Sequence[str]) -> str:
    """A lane spec with the K that was measured; unchanged if several were, since ``--k`` names them, or if the lane
    cannot draft."""
    method, colon, rest = spec.partition(":")
    if len(ks) != 1 or method in ("ar", "diffusion"):
        return spec
    rest = re.sub(r"(^|,)start=\d+", "", rest)
    if ks == ["0"]:
        # A lane cannot be built for no drafts at all.
        return f"{method}:{rest}{',' if rest else ''}start=0"
    with_k, found = re.subn(r"(^|,)k=(?:\d+|auto(?::\d+)?)", rf"\g<1>k={ks[0]}", rest)
    if found:
        return f"{method}{colon}{with_k}"
    return f"{method}:{rest}{',' if rest else ''}k={ks[0]}"
