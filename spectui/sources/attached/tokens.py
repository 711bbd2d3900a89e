"""Finds the tokenizers of servers' models on this machine, on a thread of their own: it takes seconds."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spectui.places import expanded
from spectui.sources.demo_model.prepare import MODEL_NAME, demo_model_ready
from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.pieces import TokenTable
from spectui.sources.vllm.token_bytes import UNKNOWN
from spectui.wire.messages import About

logger = logging.getLogger(__name__)

HINT = "name one with --tokenizer, or start the server with SPECTUI_REDACTION=text"


class TokenizerError(Exception):
    """There is no tokenizer; the message is a sentence that says what to do."""


class BoundedTable(TokenTable):
    """A table that keeps nothing about ids beyond the vocabulary, of which a server could send any number."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self._size = len(tokenizer)

    def bytes_of(self, token_id: int) -> bytes:
        return super().bytes_of(token_id) if token_id < self._size else UNKNOWN.encode()

    def text_of(self, token_id: int) -> str | None:
        return super().text_of(token_id) if token_id < self._size else UNKNOWN


def load_table(about: About, named: str | None) -> TokenTable:
    """The table of a server's tokenizer. Only one that the user has ``named`` is downloaded.

    Raises:
        TokenizerError: There is none.
    """
    try:
        with panics_as_errors():
            return BoundedTable(_loaded(about, named))
    except TokenizerError:
        raise
    except Exception as error:
        logger.info("no tokenizer for %s", about.model, exc_info=True)
        if named is not None:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise TokenizerError(f"--tokenizer {named} cannot be loaded: {first}") from error
        raise TokenizerError(
            f"tokens are shown as ids: the tokenizer of '{about.model}' is not on this machine: {HINT}"
        ) from error


def _loaded(about: About, named: str | None) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise TokenizerError(
            "tokens are shown as ids: reading them needs transformers, which is not installed here; start the server "
            "with SPECTUI_REDACTION=text and it sends its words"
        ) from None
    if named is not None:
        folder = expanded(named)
        return AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else named)
    failed: Exception | None = None
    for name in dict.fromkeys(filter(None, (about.tokenizer, about.model))):
        try:
            if (found := _folder(name)) is not None:
                return AutoTokenizer.from_pretrained(str(found), local_files_only=True)
            if not name.startswith((".", "/", "~")):
                revision = about.revision or None
                return AutoTokenizer.from_pretrained(name, revision=revision, local_files_only=True)
        except Exception as error:
            failed = error
    raise failed or FileNotFoundError(about.model)


def _folder(name: str) -> Path | None:
    """The folder of a tokenizer: the server's own if it is on this machine, or that of the demo model."""
    try:
        if (path := Path(name)).is_absolute() and path.is_dir():
            return path
    except (OSError, ValueError):
        return None
    return demo_model_ready() if Path(name).name == MODEL_NAME and Path(name).is_absolute() else None


class Tokenizers:
    """Loads each wanted tokenizer once."""

    def __init__(
        self,
        named: str | None,
        ready: Callable[[About, TokenTable | None, str], None],
        load: Callable[[About, str | None], TokenTable] = load_table,
    ) -> None:
        """Prepare.

        Args:
            named: The tokenizer that the user names, for all servers.
            ready: Called on the thread with what was wanted and its table, or why there is none.
            load: Loads one.
        """
        self._named = named
        self._ready = ready
        self._load = load
        self._wanted: queue.SimpleQueue[About | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def want(self, about: About) -> None:
        """Load the tokenizer of a server."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tokenizer", daemon=True)
            self._thread.start()
        self._wanted.put(about)

    def stop(self) -> None:
        """End the thread; it is not waited for, as a download may take minutes."""
        self._wanted.put(None)

    def _run(self) -> None:
        while (about := self._wanted.get()) is not None:
            try:
                self._ready(about, self._load(about, self._named), "")
            except TokenizerError as error:
                self._ready(about, None, str(error))
