"""Fills in what the user left out with what a preset says."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from spectui.setup.presets.known import known_presets


def with_preset(options: argparse.Namespace) -> argparse.Namespace:
    """The options with what ``--preset`` adds. What the user gave wins, each engine argument by itself.

    The preset's lanes are in ``usual_lanes``, since the user did not choose their K.

    Raises:
        UsageError: There is no such preset.
    """
    if options.preset is None or hasattr(options, "usual_lanes"):
        return options
    preset = known_presets().find(options.preset)
    chat = {} if options.raw else preset.chat
    added: dict[str, Any] = {
        "model": preset.target if options.model is None else options.model,
        "engine_arg": [*preset.engine_args.items(), *options.engine_arg],
        "chat_template_arg": [*chat.items(), *options.chat_template_arg],
        "usual_lanes": tuple(lane.spec for lane in preset.lanes),
    }
    return argparse.Namespace(**{**vars(options), **added})


def usual_lanes(options: argparse.Namespace) -> Sequence[str]:
    """The lanes of the preset; without one, those that were found for the target."""
    from spectui.setup.finder import default_lanes

    lanes: Sequence[str] | None = getattr(options, "usual_lanes", None)
    return default_lanes(options.model) if lanes is None else lanes
