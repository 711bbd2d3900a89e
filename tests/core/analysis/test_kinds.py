"""The kind of a token, by its text and by what stands before it."""

from __future__ import annotations

import numpy as np
import pytest

from spectui.core.analysis.kinds import Kind, kind_of, kinds_of

TABLE = {
    Kind.START: [" the", " Émile", "(x", "\nThe", ".get", " x1"],
    Kind.CONTINUATION: ["ing", "'t", "\u2019s", "_name", "é", "nd\n", "e\u0301"],
    Kind.NUMBER: ["7", " 12", "3.14", "1,000", "(2", " 50%", "½", "\u0663", "-1"],
    Kind.PUNCTUATION: [".", ",", " -", '"', ".\n\n", "?", "\u3002", "\u2014", " (", ").", "\u2026"],
    Kind.SPACE: ["\n", "    ", "\t", "\n\n    ", " ", "\u00a0"],
    Kind.SYMBOL: ["==", " =", "[", "()", "):", "('", "_", " #", "->", "/", "`", "\u00d7", "{\n"],
    Kind.SPECIAL: [
        "<|im_end|>",
        "</s>",
        "<s>",
        "<eos>",
        "[INST]",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "</think>",
    ],
    Kind.SCRIPT: ["", "你好", " мир", "\U0001f600", "\ufffd", "한", "a你", "\u0939\u093f"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TABLE.items() for text in texts])
def test_the_text_decides(kind: Kind, text: str) -> None:
    assert kind_of(text) is kind


def test_what_stands_before_decides_whether_a_word_goes_on() -> None:
    texts = {1: " the", 2: "re", 3: "\n", 4: "(", 5: "7", 6: "<stop>"}
    wanted = [2, 2, 2, 2, 2, 1, 6, -1, 7]
    before = [1, 3, 4, 5, -1, 1, 1, 1, 1]
    found = kinds_of(np.array(wanted, dtype=np.int32), np.array(before, dtype=np.int32), texts, {6})
    assert found.tolist() == [
        Kind.CONTINUATION,
        Kind.START,
        Kind.START,
        Kind.CONTINUATION,
        Kind.CONTINUATION,
        Kind.START,
        Kind.SPECIAL,
        -1,
        Kind.SCRIPT,
    ]
