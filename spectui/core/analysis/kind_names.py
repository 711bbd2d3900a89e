"""Kinds of tokens by their names, for those who have no arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from spectui.core.analysis.kinds import NAMES, Kind, kinds_of

ORDER = tuple(NAMES.values())
"""The names in the order in which they are shown."""


def kind_names(ids: Sequence[int], before: Sequence[int], texts: Mapping[int, str], ends: Collection[int]) -> list[str]:
    """The name of the kind of every token; arguments as in `kinds_of`."""
    kinds = kinds_of(np.array(ids, dtype=np.int32), np.array(before, dtype=np.int32), texts, ends)
    return ["" if kind < 0 else NAMES[Kind(kind)] for kind in kinds.tolist()]
