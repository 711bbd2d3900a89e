"""``spectui keys``: keys for a server with the tap and those who may watch it."""

from __future__ import annotations

import argparse
import shlex

from spectui.errors import DONE, UsageError
from spectui.places import config_folder, user_path
from spectui.runtime.output import visible
from spectui.wire import keys

DESCRIPTION = (
    "Make CURVE keys for a server with the tap and a viewer, so that beyond this machine only those who have a key "
    "can watch it, and nobody on the way can read what it sends. Nothing is overwritten."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "folder", nargs="?", default=None, metavar="FOLDER", help="where the keys go (keys, in the settings' folder)"
    )
    parser.add_argument(
        "--viewer", default=keys.VIEWER, metavar="NAME", help=f"whom to make keys for ({keys.VIEWER}); one per person"
    )


def command(options: argparse.Namespace) -> int:
    """Make the keys, and say what to copy where.

    Raises:
        UsageError: The viewer's name is none for a file.
        KeysError: The folder cannot be used, or has keys of that viewer.
    """
    viewer = options.viewer
    if not keys.NAME.fullmatch(viewer) or viewer == keys.SERVER:
        raise UsageError(
            f"--viewer: '{viewer}' cannot be a viewer's name: use up to 64 letters, digits, dots and dashes"
        )
    folder = (user_path(options.folder) if options.folder else config_folder() / "keys").absolute()
    made = keys.make(folder, viewer)
    place = shlex.quote(str(folder))
    server, own = f"{keys.SERVER}{keys.SECRET}", f"{viewer}{keys.SECRET}"
    for line in (
        f"wrote {', '.join(path.name for path in made)} in {folder}",
        f"server: start it with SPECTUI_KEYS={place}; elsewhere that folder needs {server} and {viewer}{keys.PUBLIC}",
        f"viewer: spectui attach --keys {place}; elsewhere that folder needs {own} and {keys.SERVER}{keys.PUBLIC} only",
        f"whoever has {own} sees prompts and answers: copy it over a safe channel, and then remove it here",
    ):
        print(visible(line))
    return DONE
