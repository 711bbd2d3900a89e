"""Where the texts of servers' tokens come from: a tokenizer here, or the server's own words."""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import pytest

from spectui.protocol import events as ev
from spectui.sources.attached import tokens, words
from spectui.sources.attached.texts import MOST_TOKENIZERS, LaneTexts, Texts
from spectui.sources.attached.tokens import BoundedTable, TokenizerError, load_table
from spectui.sources.attached.words import ServerWords, WordsTokenizer
from spectui.sources.vllm.pieces import PieceDecoder, TokenTable
from spectui.wire import messages as wire
from tests.sources.attached.test_stream import Viewer
from tests.sources.test_synthetic import FAILSAFE_S
from tests.support.made_server import about

pytestmark = pytest.mark.unit

VOCABULARY = [bytes([65 + number % 26]) + b"%d" % number for number in range(998)] + [
    "é".encode()[:1],
    "é".encode()[1:],
]
TABLE = BoundedTable(WordsTokenizer(VOCABULARY, {0}))


def loaded(load: object, *wanted: wire.About, named: str | None = None) -> tuple[Texts, list[ev.Event]]:
    """Texts that have looked for what is wanted, and what they say of it."""
    found = threading.Semaphore(0)
    texts = Texts(named, found.release, load)  # type: ignore[arg-type]
    keys = {(one.tokenizer, one.model, one.revision) if named is None else () for one in wanted}
    for one in wanted:
        assert texts.of(one) is None
    for _ in keys:
        assert found.acquire(timeout=FAILSAFE_S)
    said = list(texts.take())
    texts.stop()
    return texts, said


def test_a_tokenizer_is_loaded_once_for_all_servers_that_have_it() -> None:
    asked = []

    def load(of: wire.About, named: str | None) -> TokenTable:
        asked.append((of.model, named))
        return TABLE

    one, other = about(), about(model="/models/other")
    texts, said = loaded(load, one, one, about(host="elsewhere"), other)
    assert asked == [("/models/made-up", None), ("/models/other", None)]
    assert not said
    assert texts.of(one) is texts.of(other) is TABLE


def test_one_that_is_named_is_for_all_servers() -> None:
    asked = []

    def load(of: wire.About, named: str | None) -> TokenTable:
        asked.append(named)
        return TABLE

    texts, _ = loaded(load, about(), about(model="other"), named="mine")
    assert asked == ["mine"]
    assert texts.of(about(model="another")) is TABLE


def test_without_a_tokenizer_one_sentence_says_what_to_do() -> None:
    def load(of: wire.About, named: str | None) -> TokenTable:
        raise TokenizerError("there is none: get one")

    texts, said = loaded(load, about())
    assert said == [ev.Notice("there is none: get one")]
    assert texts.of(about()) is None
    assert not list(texts.take())


def test_a_server_cannot_ask_for_any_number_of_tokenizers() -> None:
    asked = []

    def load(of: wire.About, named: str | None) -> TokenTable:
        asked.append(of.model)
        return TABLE

    texts = Texts(None, lambda: None, load)
    for number in range(3 * MOST_TOKENIZERS):
        texts.of(about(model=f"/m/{number}"))
    texts.stop()
    texts._tokenizers._thread.join(FAILSAFE_S)  # type: ignore[union-attr]
    assert len(asked) == MOST_TOKENIZERS


def test_texts_begin_with_the_step_after_the_tokenizer_is_there() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.steps(5)
    viewer.stream.table = TABLE
    viewer.steps(5)
    before, after = viewer.of(ev.Step)[0], viewer.of(ev.Step)[-1]
    assert before.text[0].startswith("⟨")
    assert after.text == tuple(VOCABULARY[token].decode(errors="replace") for token in (*after.emitted, *after.cut))
    assert len(after.drafted_text) == len(after.drafted)


def test_a_character_of_two_tokens_is_whole_though_the_tokenizer_came_between_them() -> None:
    viewer = Viewer()
    viewer.attach()
    viewer.send(viewer.server.begin())

    def said(index: int, token: int) -> tuple[str, ...]:
        totals = list(ev.Totals(index + 1, index + 1))
        row = wire.Row(0, index, index, [], 0, [token], 1)
        (step,) = viewer.send(wire.EngineStep(0, 10, 10 * index + 10, None, None, totals, [row]))
        assert isinstance(step, ev.Step)
        return step.text

    assert said(0, 998) == ("⟨998⟩",)
    viewer.stream.table = TABLE
    assert said(1, 999) == ("é",)


def test_ids_beyond_the_vocabulary_are_unknown_and_not_kept() -> None:
    assert PieceDecoder(TABLE).feed([1, 5_000, 2**20]) == ("B1", "\ufffd", "\ufffd")
    assert len(TABLE._known) <= 1_000
    assert TABLE.text_of(2**20) == "\ufffd"


class Server:
    """A server's words in parts, as asked for."""

    def __init__(self, lane: LaneTexts) -> None:
        self.lane = lane
        self.numbers = count(1)
        self.now_ns = 0

    def ask(self) -> wire.AskWords | None:
        return self.lane.ask(lambda: next(self.numbers), self.now_ns)

    def answer(self, ask: wire.AskWords, size: int = 300) -> wire.Words:
        part = VOCABULARY[ask.first : ask.first + size]
        return wire.Words(ask.number, ask.first, len(VOCABULARY), part, [0] if not ask.first else [])


def own_words() -> tuple[LaneTexts, wire.About]:
    def load(of: wire.About, named: str | None) -> TokenTable:
        raise TokenizerError("none here")

    return LaneTexts("e1", Texts(None, lambda: None, load)), about(redaction="text")


def test_a_server_that_sends_texts_gives_its_words() -> None:
    lane, text = own_words()
    server = Server(lane)
    assert lane.table(text, "s1") is None
    said = []
    while lane.table(text, "s1") is None:
        ask = server.ask()
        assert ask is not None
        assert server.ask() is None
        told = lane.take(server.answer(ask))
        assert told is not None
        said += told
    assert [event.text for event in said] == ["the server's vocabulary is being read (1,000 tokens): texts follow"]
    table = lane.table(text, "s1")
    assert table is not None
    assert PieceDecoder(table).feed([0, 5, 998, 999]) == ("A0", "F5", "", "é")
    assert server.ask() is None
    # It may be another one after the next start.
    assert lane.table(text, "s2") is None
    assert server.ask() is not None


def test_words_that_do_not_come_are_asked_for_again() -> None:
    lane, text = own_words()
    server = Server(lane)
    lane.table(text, "s")
    first = server.ask()
    server.now_ns += 6_000_000_000
    again = server.ask()
    assert first is not None
    assert again is not None
    assert (again.first, again.number) == (first.first, first.number + 1)
    assert lane.take(server.answer(first)) is None
    assert lane.take(server.answer(again)) is not None


def test_a_server_that_refuses_its_words_leaves_it_to_a_tokenizer_here() -> None:
    found = threading.Semaphore(0)
    texts = Texts(None, found.release, lambda of, named: TABLE)
    lane, text = LaneTexts("e1", texts), about(redaction="text")
    lane.table(text, "s")
    ask = Server(lane).ask()
    assert ask is not None
    assert lane.expects(ask.number)
    lane.refused()
    assert lane.table(text, "s") is None
    assert found.acquire(timeout=FAILSAFE_S)
    assert not list(texts.take())
    assert lane.table(text, "s") is TABLE
    texts.stop()


def test_where_only_numbers_are_sent_no_tokenizer_is_looked_for() -> None:
    texts = Texts(None, lambda: None, lambda of, named: TABLE)
    assert LaneTexts("e1", texts).table(about(redaction="counts"), "s") is None
    assert not texts._tables


RIGHT = {"number": 1, "first": 0, "size": 10, "words": [b"a"] * 5, "special": [1]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 1},
        {"first": -1},
        {"size": 0},
        {"size": 2**40},
        {"size": 4},
        {"words": []},
        {"words": [b"x" * 2_000]},
        {"special": [10]},
        {"special": [-1]},
    ],
    ids=str,
)
def test_words_that_make_no_sense_are_not_kept(wrong: dict[str, object]) -> None:
    kept = ServerWords()
    assert not kept.take(wire.Words(**{**RIGHT, **wrong}))  # type: ignore[arg-type]
    assert kept.next == 0
    assert kept.take(wire.Words(**RIGHT))  # type: ignore[arg-type]
    assert not kept.take(wire.Words(**{**RIGHT, "first": 5, "size": 11}))  # type: ignore[arg-type]


def test_words_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_BYTES", 100)
    kept = ServerWords()
    assert kept.take(wire.Words(1, 0, 10, [b"x" * 60], []))
    assert not kept.take(wire.Words(1, 1, 10, [b"x" * 60], []))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a small tokenizer."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    small = Tokenizer(models.BPE(vocab={char: number for number, char in enumerate(alphabet)}, merges=[]))
    small.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    small.decoder = decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=small).save_pretrained(tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.slow
def test_a_tokenizer_is_found_in_the_servers_own_folder_or_in_the_one_that_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "demo_model_ready", lambda: folder)
    ready = [
        load_table(about(tokenizer=str(folder)), None),
        load_table(about(tokenizer="", model=str(folder)), None),
        load_table(about(), str(folder)),
        # The demo model by its name, wherever the server has it.
        load_table(about(tokenizer="/there/SmolLM2-135M-Instruct"), None),
    ]
    for table in ready:
        ids = table._tokenizer.encode("né")
        assert PieceDecoder(table).feed(ids) == ("n", "", "é")
    with pytest.raises(
        TokenizerError, match="tokens are shown as ids: the tokenizer of '/models/made-up' is not on this machine"
    ):
        load_table(about(), None)
    with pytest.raises(TokenizerError, match="--tokenizer /nowhere cannot be loaded"):
        load_table(about(tokenizer=str(folder)), "/nowhere")
    # An id that is not in the cache is not downloaded.
    with pytest.raises(TokenizerError, match="'nobody/nothing' is not on this machine"):
        load_table(about(tokenizer="nobody/nothing", model="nobody/nothing"), None)
