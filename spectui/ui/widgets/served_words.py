"""Words for servers that run elsewhere: states, ages, ids, and what to do where something is missing."""

from __future__ import annotations

from spectui.core.attached.views import EndpointRow
from spectui.figures import DASH
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import Span

TAP = "--scheduler-cls spectui.serving.TracingScheduler"
"""What a server is started with to be watched."""

SERVE = (f"vllm serve MODEL {TAP} \\", "  --worker-extension-cls spectui.serving.TracingWorker")
"""The command, in two lines that can be pasted."""

_WHERE = "SPECTUI_ENDPOINT in the server's environment sets where it listens."
_WITHOUT = "Without the tap: spectui attach http://HOST:PORT reads the server's counters."

_PREFIXES = ("chatcmpl-", "cmpl-", "resp_", "embd-")
"""What vLLM's and SGLang's APIs put before each id; it tells no request from another."""

_TAIL = 4


def age_text(seconds: float | None) -> str:
    """``4.2 s``, ``42 s``, ``12 min`` or ``3.1 h``: at most 6 cells."""
    if seconds is None:
        return DASH
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 99.5 * 3600 else f"{seconds / 86400:.0f} d"


def since_text(seconds: float) -> str:
    """The same in whole seconds, for what is watched by the second: ``4 s``."""
    return f"{max(0.0, seconds):.0f} s" if seconds < 99.5 else age_text(seconds)


def count_text(count: int | None) -> str:
    """``12,345`` or ``1.23M``: at most 6 cells up to a thousand millions."""
    if count is None:
        return DASH
    return f"{count:,}" if abs(count) < 100_000 else f"{count / 1e6:.2f}M"


def short_id(request: str, cells: int) -> str:
    """As much of an id as tells requests apart: without the API's prefix, its beginning and its end."""
    text = safe(request)
    if len(text) <= cells:
        return text
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    if len(text) <= cells or cells <= 2 * _TAIL or not text.isascii():
        return clip(text, cells)
    return f"{text[: cells - _TAIL - 1]}…{text[-_TAIL:]}"


def counters_only(row: EndpointRow) -> bool:
    """Whether nothing but the server's counters is read."""
    return row.kind not in ("tap", "unknown")


def state_span(row: EndpointRow, since_s: float | None = None) -> Span:
    """The state in at most 13 cells; ``since_s`` is for how long the server has been gone, None if unknown."""
    if row.stage == "gone":
        return ("gone" if since_s is None else f"gone {since_text(since_s)}"), "bad"
    if row.stage == "refused":
        return "refused", "bad"
    if row.stage == "connecting":
        return "connecting", "warn"
    if counters_only(row):
        return "counters", "warn"
    return ("drafts hidden", "warn") if row.why else ("live", "good")


def figures_known(row: EndpointRow) -> bool:
    """Whether the endpoint has said anything that a table can show."""
    return row.stage in ("live", "gone") or row.emitted is not None


def help_paragraphs(
    row: EndpointRow, address: str, since_s: float | None = None, *, recorded: bool = False
) -> list[Span]:
    """What to know while the endpoint shows nothing or only a part, and what to do unless it is ``recorded``."""
    title, why = address or row.title, _sentence(row.why)
    match row.stage:
        case "connecting" if recorded:
            return [(f"{title} had not answered yet.", "strong"), *why]
        case "connecting":
            return [
                (f"Waiting for {title}.", "strong"),
                *why,
                ("", "text"),
                *([] if title.startswith("http") else _how("The server must run with the tap:")),
                ("The screen connects by itself once the server runs, and after every restart.", "muted"),
                *([] if title.startswith("http") else [(_WHERE, "muted"), (_WITHOUT, "muted")]),
            ]
        case "gone":
            ago = "" if since_s is None else f" for {since_text(since_s)}"
            return [
                (f"{title} has not answered{ago}.", "bad"),
                *why,
                (f"The figures stay.{'' if recorded else ' The screen reconnects by itself.'}", "muted"),
            ]
        case "refused":
            return [(f"{title} answers, but cannot be watched.", "bad"), *why]
    if counters_only(row):
        return [
            ("Drafts are not visible this way: a server's counters only count them.", "warn"),
            *why,
            *(_how("To see them, start it with the tap:") if row.kind == "vllm" and TAP not in row.why else []),
        ]
    return [("Drafts are not visible; their numbers are exact.", "warn"), *why] if row.why else []


def _how(words: str) -> list[Span]:
    return [(words, "muted"), *((line, "accent") for line in SERVE), ("", "text")]


def _sentence(why: str) -> list[Span]:
    """The reason as a sentence of its own."""
    if not why:
        return []
    first = why.split(maxsplit=1)[0].rstrip(",:")
    begun = why[:1].upper() + why[1:] if first.isalpha() and first.islower() else why
    return [(begun if begun.endswith((".", "?", "!")) else f"{begun}.", "text")]
