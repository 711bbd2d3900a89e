"""Where the user's own settings lie. Loads nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_VARIABLE = "SPECTUI_CONFIG_DIR"


def config_folder() -> Path:
    """The folder that SPECTUI_CONFIG_DIR names, else the user's folder for settings; it need not exist."""
    if chosen := os.environ.get(CONFIG_VARIABLE):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_config_path("spectui", appauthor=False)
