"""Where each server's texts come from: a tokenizer on this machine, or the server's own words."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spectui.protocol.events import Event, Notice
from spectui.sources.attached.tokens import BoundedTable, Tokenizers, load_table
from spectui.sources.attached.words import ServerWords
from spectui.sources.vllm.pieces import TokenTable
from spectui.wire import messages as wire

MOST_TOKENIZERS = 64
"""Different tokenizers in a run; a server that names more gets none."""

ANSWER_NS = 5_000_000_000
"""How long the server's next words are waited for before they are asked for again."""

_Key = tuple[str, ...]


class Texts:
    """The tables of all servers' tokenizers, each found once."""

    def __init__(
        self,
        named: str | None,
        wake: Callable[[], None],
        load: Callable[[wire.About, str | None], TokenTable] = load_table,
    ) -> None:
        """Prepare.

        Args:
            named: The tokenizer that the user names, for all servers.
            wake: Called on another thread when a table is there.
            load: Loads one.
        """
        self.named = named
        self._wake = wake
        self._tables: dict[_Key, TokenTable | None] = {}
        self._found: queue.SimpleQueue[tuple[_Key, TokenTable | None, str]] = queue.SimpleQueue()
        self._tokenizers = Tokenizers(named, self._ready, load)

    def of(self, about: wire.About) -> TokenTable | None:
        """The table of a server's tokenizer; None if there is none, or not yet."""
        key = self._key(about)
        if key not in self._tables and len(self._tables) < MOST_TOKENIZERS:
            self._tables[key] = None
            self._tokenizers.want(about)
        return self._tables.get(key)

    def take(self) -> Iterator[Event]:
        """Take what was found meanwhile; gives why something was not."""
        while not self._found.empty():
            key, table, why = self._found.get()
            self._tables[key] = table
            if why:
                yield Notice(why)

    def stop(self) -> None:
        """Look for nothing more."""
        self._tokenizers.stop()

    def _key(self, about: wire.About) -> _Key:
        return () if self.named is not None else (about.tokenizer, about.model, about.revision)

    def _ready(self, about: wire.About, table: TokenTable | None, why: str) -> None:
        self._found.put((self._key(about), table, why))
        self._wake()


@dataclass(slots=True)
class _Asked:
    number: int
    at_ns: int


class LaneTexts:
    """Finds the table of one endpoint, session by session."""

    def __init__(self, lane: str, texts: Texts) -> None:
        self._lane = lane
        self._texts = texts
        self._session = ""
        self._words: ServerWords | None = None
        self._table: TokenTable | None = None
        self._asked: _Asked | None = None

    def table(self, about: wire.About, session: str) -> TokenTable | None:
        """The table for what the server sends; None as long as there is none."""
        if session != self._session:
            self._session, self._table, self._asked = session, None, None
            own = about.redaction == "text" and self._texts.named is None
            self._words = ServerWords() if own else None
        if about.redaction == "counts":
            return None
        return self._table if self._words is not None else self._texts.of(about)

    def ask(self, number: Callable[[], int], now_ns: int) -> wire.AskWords | None:
        """The next question to the server, if it is due."""
        if self._words is None or self._table is not None:
            return None
        if self._asked is not None and now_ns - self._asked.at_ns < ANSWER_NS:
            return None
        self._asked = _Asked(number(), now_ns)
        return wire.AskWords(self._asked.number, self._words.next)

    def expects(self, number: int) -> bool:
        """Whether the answer of this number is to the last question."""
        return self._asked is not None and self._asked.number == number

    def take(self, part: wire.Words) -> list[Event] | None:
        """Take an answer; None if it makes no sense."""
        if self._words is None or not self.expects(part.number):
            return None
        first = self._words.size is None
        if not self._words.take(part):
            return None
        self._asked = None
        if self._words.whole:
            self._table = BoundedTable(self._words.tokenizer())
            return []
        sentence = f"the server's vocabulary is being read ({part.size:,} tokens): texts follow"
        return [Notice(sentence, self._lane)] if first else []

    def refused(self) -> None:
        """The server gives no words: a tokenizer on this machine has to do."""
        self._words = self._asked = None
