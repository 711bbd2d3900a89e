"""The command palette, on a terminal of any size."""

from __future__ import annotations

from textual.command import CommandList

from spectui.ui.paint.textual_private import Palette


class Commands(Palette):
    """Textual's palette, whose keys do nothing while there is no room for its list; there they would fail."""

    def move(self, action: str) -> None:
        commands = self.query_one(CommandList)
        if commands.scrollable_content_region:
            super().move(action)
