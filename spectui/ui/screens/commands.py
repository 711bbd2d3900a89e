"""The command palette, on a terminal of any size."""

from __future__ import annotations

from textual.command import CommandList, CommandPalette


class Commands(CommandPalette):
    """Textual's palette, whose keys do nothing while there is no room for its list; there they would fail."""

    def _action_command_list(self, action: str) -> None:
        commands = self.query_one(CommandList)
        if commands.scrollable_content_region:
            super()._action_command_list(action)
