"""How much memory is free, from what systems report."""

from __future__ import annotations

from pathlib import Path

from spectui.telemetry import free_memory

GIB = 1 << 30


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert free_memory.memory_left(8 * GIB, tmp_path) == 8 * GIB
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\nactive_file 7\n")
    for limit, expected in ((f"{4 * GIB}\n", 2 * GIB), ("max\n", 8 * GIB), (f"{99 * GIB}\n", 8 * GIB), ("1\n", 0)):
        (tmp_path / "memory.max").write_text(limit)
        assert free_memory.memory_left(8 * GIB, tmp_path) == expected
