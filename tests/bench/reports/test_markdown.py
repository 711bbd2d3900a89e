"""Markdown as a reader's program takes it: nothing but our own marks means anything."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from spectui.bench.reports.content import report
from spectui.bench.reports.document import (
    Block,
    Code,
    Heading,
    Items,
    Mono,
    Paragraph,
    Strong,
    Table,
    Text,
    clean,
    inlines,
    plain,
)
from spectui.bench.reports.foreign import read_markdown
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.repeating import pinned_spec, whole_command
from tests.bench.reports.making import CASES, HOSTILE
from tests.support.benchmarks import made_up_results

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def texts(tokens: list[Token], kinds: set[str]) -> str:
    """The text of inline tokens, and what kinds there are beside text."""
    said = ""
    for token in tokens:
        kinds.add(token.type)
        said += token.content if token.type in ("text", "code_inline", "text_special") else ""
    return said


def one_line(text: str) -> str:
    return re.sub(r"\s*[\n\t]\s*", " ", clean(text)).strip()


@given(st.text(max_size=60))
@example(HOSTILE)
@example("1. no list")
@example("- no list")
@example("# no heading")
@example("12) no list")
@example("#")
@example("# ##")
@example("=== no heading")
@example("_a_ a_b __c__ *d* ~~e~~ `f` <g> [h](i) &amp; \\* | $j$")
def test_plain_text_means_only_itself(text: str) -> None:
    for block in (Paragraph(f"Begins {text}"), Paragraph(text), Items((text,)), Heading(2, f"x {text}")):
        tokens = GITHUB.parse(markdown([block]))
        inline = [token for token in tokens if token.type == "inline"]
        kinds: set[str] = set()
        said = "".join(texts(token.children or [], kinds) for token in inline)
        assert kinds <= {"text", "text_special"}
        assert said.split() == one_line(plain(block.items[0] if isinstance(block, Items) else block.text)).split()
        assert {token.type for token in tokens} <= {
            *("inline", "paragraph_open", "paragraph_close", "heading_open", "heading_close"),
            *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        }
        assert sum(token.type == "heading_open" for token in tokens) == isinstance(block, Heading)


@given(st.text(max_size=40), st.text(max_size=40))
@example(HOSTILE, HOSTILE)
@example("a|b", "`|`")
@example("\\|", "\\|")
def test_a_table_keeps_its_cells(text: str, code: str) -> None:
    tokens = GITHUB.parse(markdown([Table(("a", "b", "c"), (("1", f"x {text}", Mono(code)), ("2", "", "end")))]))
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    assert len(cells) == 9
    kinds: set[str] = set()
    assert texts(cells[4], kinds).split() == one_line(f"x {text}").split()
    assert texts(cells[5], kinds).split() == one_line(code).split()
    assert kinds <= {"text", "text_special", "code_inline"}
    assert texts(cells[8], kinds) == "end"


def test_a_hostile_report_has_the_headings_and_pictures_of_any_other() -> None:
    tokens = GITHUB.parse(markdown(report(CASES["hostile"](), naive=True)))
    kinds = {token.type for token in tokens} | {
        child.type for token in tokens if token.type == "inline" for child in token.children or []
    }
    assert not kinds & {"html_block", "html_inline", "link_open", "em_open", "s_open", "hr", "ordered_list_open"}
    headings = [
        texts((tokens[at + 1].children or []), set())
        for at, token in enumerate(tokens)
        if token.tag == "h2" and token.nesting == 1
    ]
    assert headings[-4:] == ["Lanes", "Prompts", "Repeat it", "Counts"]
    # The command.
    assert sum(token.type == "fence" for token in tokens) == 1


def normal(text: Text) -> tuple[object, ...]:
    """A text as parts, with neighbouring plain ones joined."""
    found: list[object] = []
    for part in inlines(text):
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return tuple(part for part in found if part != "")


PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20).map(
    lambda text: " ".join(f"w{text}w".split())
)


@given(PLAIN, PLAIN, PLAIN)
def test_what_others_write_is_read_as_it_was_meant(one: str, two: str, three: str) -> None:
    code = three.replace("`", "'")
    blocks: list[Block] = [
        Heading(2, one),
        Paragraph((one, " ", Mono(code), " ", Strong(two.replace("*", "+")))),
        Items((one, two)),
        Table((one, two), ((two, three), (Mono(code), one)), 1),
        Code(f"{one}\n{two.replace('`', '')}"),
    ]
    read = read_markdown(markdown(blocks))
    assert [type(block) for block in read] == [type(block) for block in blocks]
    for ours, theirs in zip(blocks, read, strict=True):
        if isinstance(ours, Table) and isinstance(theirs, Table):
            assert [list(map(normal, row)) for row in theirs.rows] == [list(map(normal, row)) for row in ours.rows]
            assert theirs.named == ours.named
        elif isinstance(ours, Items) and isinstance(theirs, Items):
            assert list(map(normal, theirs.items)) == list(map(normal, ours.items))
        elif isinstance(ours, Heading | Paragraph) and isinstance(theirs, Heading | Paragraph):
            assert normal(theirs.text) == normal(ours.text)
        else:
            assert theirs == ours


@pytest.mark.parametrize(
    "text", ["", "\n\n", "| a |", "|---|", "```\nnever closed", "- ", "**", "`", "\\", "#", "####### seven"]
)
def test_markdown_that_is_not_quite_any_is_read_all_the_same(text: str) -> None:
    read_markdown(text)


def test_a_table_right_below_a_paragraph_is_a_table() -> None:
    read = read_markdown("Words\nand more.\n| a | b |\n|:--|--:|\n| 1 | 2 |\nAfter.")
    assert [type(block) for block in read] == [Paragraph, Table, Paragraph]


@pytest.mark.parametrize(
    ("spec", "ks", "pinned"),
    [
        ("ar", ["0"], "ar"),
        ("mtp:k=4", ["2"], "mtp:k=2"),
        ("mtp", ["2"], "mtp:k=2"),
        ("mtp:model=a,k=4,start=1", ["2"], "mtp:model=a,k=2"),
        ("ngram:k=5,max=4", ["5"], "ngram:k=5,max=4"),
        ("dflash:model=x/k=1y", ["7"], "dflash:model=x/k=1y,k=7"),
        ("mtp:k=4", ["1", "2"], "mtp:k=4"),
        ("mtp:k=auto", ["auto:4"], "mtp:k=auto:4"),
        ("mtp:k=auto:6,model=a", ["auto:6"], "mtp:k=auto:6,model=a"),
        ("mtp:k=4,start=2", ["0"], "mtp:k=4,start=0"),
        ("ngram", ["0"], "ngram:start=0"),
    ],
)
def test_a_lane_is_pinned_to_the_k_that_it_had(spec: str, ks: list[str], pinned: str) -> None:
    assert pinned_spec(spec, ks) == pinned


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("", "--lane ar --lane mtp:k=2 --lane dflash:k=3"),
        ("--lane mtp --raw --lane=ar --lane dflash", "--lane ar --lane mtp:k=2 --lane dflash:k=3 --raw"),
        ("--raw --lane ar --lane mtp:k=2 --lane dflash:k=3", "--raw --lane ar --lane mtp:k=2 --lane dflash:k=3"),
        ("--prompt 'not closed", "--prompt 'not closed"),
    ],
)
def test_the_command_names_every_lane_with_its_k(typed: str, whole: str) -> None:
    results = made_up_results()
    lanes = tuple(replace(note, spec="mtp:k=4") if note.lane == "mtp" else note for note in results.header.lanes)
    command = f"spectui bench {typed}".strip()
    chosen = replace(results, header=replace(results.header, lanes=lanes, command=command))
    assert whole_command(chosen) == f"spectui bench {whole}"
    said = markdown(report(chosen), "charts")
    assert f"```\nspectui bench {whole}\n```" in said
    assert (f"written out: `{command}`." in said) == (typed != whole)
