"""The command palette, which works on a terminal of any size."""

from __future__ import annotations

from textual.command import CommandList

from spectui.ui.paint.textual_private import Palette


class Commands(Palette):
    """Textual's palette, except that its keys do nothing while its list has no room, where they would fail."""

    def move(self, action: str) -> None:
        commands = self.query_one(CommandList)
        if commands.scrollable_content_region:
            super().move(action)
