"""What vLLM's messages about checkpoints mean. Written for vLLM 0.32."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters that a pane can show of a message at most."""

MISFITS: tuple[tuple[str, str], ...] = (
    (
        r"Target model vocab_size=(\d+)\. Draft model vocab_size=(\d+)",
        "its vocabulary has {1} tokens, the target's {0}",
    ),
    (
        r"expects (\d+) concatenated aux hidden features but received (\d+)",
        "it expects {0} hidden features, the target gives {1}",
    ),
    (
        r"load weights of size torch\.Size\(\[(.*?)\]\)\s*to a parameter of size torch\.Size\(\[(.*?)\]\)",
        "a tensor has the shape [{0}], but [{1}] is needed",
    ),
    (
        r"load weight \(torch\.Size\(\[(.*?)\]\)\) into parameter \(torch\.Size\(\[(.*?)\]\)\)",
        "a tensor has the shape [{0}], but [{1}] is needed",
    ),
    (r"values to unpack", "the target has no layers where it looks for them"),
    (r"(size mismatch.*|.*shape.*|.*hidden_size.*|.*[Ee]xpected .* got.*)", "{0}"),
)
"""What is wrong with a drafter that does not fit its target."""

OTHER_KINDS: tuple[tuple[str, str], ...] = (
    (r"Model architectures \['(\w+)'\] are not supported", "vLLM has no {0}"),
    (r"There is no module or parameter named '([\w.]+)'", "its tensors '{0}' do not belong there"),
    (r"has model type `([\w-]+)` but Transformers", "its model type '{0}' is unknown"),
    (r"Duplicate layer name", "it is a different kind of model"),
)
"""Why a checkpoint is no drafter."""

TARGET_SAYINGS: tuple[tuple[str, str], ...] = (
    (r"Cannot find any model weights", "has no weights: a file such as model.safetensors is missing"),
    (
        r"instantiate the backend tokenizer|Can't load tokenizer",
        "has no tokenizer: a file such as tokenizer.json is missing",
    ),
    (r"not a valid JSON file", "has a config.json that is not valid JSON"),
    (
        r"Model architectures \['(\w+)'\] are not supported",
        "has the architecture {0}, which this vLLM does not support",
    ),
)
"""What is wrong with a target."""


def first(sayings: tuple[tuple[str, str], ...], text: str) -> str | None:
    """The first saying whose pattern is found in ``text``, completed with what the pattern matched."""
    for pattern, reason in sayings:
        if match := re.search(pattern, text):
            return reason.format(*match.groups())[:LONGEST]
    return None
