"""Takes the README's picture: the real race on real engines, without a terminal.

``python -m demos.picture docs/race.svg`` runs the demo lanes, stops in the middle of the answer and saves the screen.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from spectui.cli.main import build_parser
from spectui.protocol.commands import Pause
from spectui.runtime import logs
from spectui.runtime.quiet import quiet_output
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu

SIZE = (120, 36)
TOKENS = 110


async def take(path: Path) -> None:
    """Race until AR has emitted `TOKENS` tokens, pause, and save the screen as an SVG picture."""
    from spectui.setup.config import host_config
    from spectui.sources.vllm.host import EngineHost
    from spectui.telemetry.source import with_telemetry
    from spectui.ui.app import SpecTUIApp
    from spectui.ui.keymap import Keymap
    from spectui.ui.paint.picture import svg

    config = host_config(build_parser().parse_args(["run"]), gpu=has_nvidia_gpu())
    source = with_telemetry(EngineHost(config))
    app = SpecTUIApp(source, log_tail=None, own_keys=Keymap({}))
    async with app.run_test(size=SIZE) as pilot:
        while not any(lane.info.method == "ar" and lane.emitted >= TOKENS for lane in app.view.lanes):
            await asyncio.sleep(0.1)
        source.send(Pause())
        while not app.view.paused:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        await pilot.pause()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(app), encoding="utf-8")
    source.stop(10)


if __name__ == "__main__":
    apply_or_reexec(gpu=has_nvidia_gpu())
    with quiet_output(logs.log_file()):
        asyncio.run(take(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/race.svg")))
