"""Guards calls into tokenizers and templates, which are other people's code and may raise anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PanicError(RuntimeError):
    """A library written in Rust panicked; the message is the library's."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic into an ordinary error.

    Libraries written in Rust (tokenizers, tiktoken) panic with pyo3's ``PanicException``, which is not an ``Exception``
    and would end the thread in which it occurs.

    Raises:
        PanicError: A library panicked.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise PanicError(str(error) or type(error).__name__) from error
