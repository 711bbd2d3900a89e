"""Whether a step had the processor: waiting threads in a made-up /proc, and a real thread that is held up."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.sources.hindrance import CORES_HINDERED
from spectui.sources.vllm import waiting
from spectui.sources.vllm.waiting import DISTURBED, MOST_THREADS, CoreWaits, NoWaits

WALL_NS = 20_000_000


class Tasks:
    """A folder like /proc/self/task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def set(self, name: str, ran_ns: int, waited_ns: int) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / "schedstat").write_text(f"{ran_ns} {waited_ns} 7\n")


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)


def learned(tasks: Tasks) -> CoreWaits:
    """The engine's thread and one of its library's have computed, a third one has not."""
    for name in ("1", "2", "3"):
        tasks.set(name, 1_000_000_000, 5)
    waits = CoreWaits(tasks.folder)
    with waits.learning():
        tasks.set("1", 1_200_000_000, 5)
        tasks.set("2", 1_150_000_000, 5)
        tasks.set("3", 1_000_500_000, 5)
    return waits


@pytest.mark.parametrize(
    ("name", "waited_ns", "disturbed"),
    [
        ("1", 0, False),
        ("1", int(DISTURBED * WALL_NS), False),
        ("1", int(DISTURBED * WALL_NS) + 1, True),
        ("2", WALL_NS // 2, True),
        ("3", WALL_NS // 2, False),
    ],
)
def test_a_thread_that_computes_and_waits_disturbs_the_step(
    tasks: Tasks, name: str, waited_ns: int, disturbed: bool
) -> None:
    waits = learned(tasks)
    for _ in range(2):
        tasks.set(name, 2_000_000_000, 5)
        waits.begin()
        tasks.set(name, 2_000_000_000, 5 + waited_ns)
        assert waits.disturbed(WALL_NS) is disturbed
    waits.close()


def test_waits_add_because_each_holds_up_every_thread(tasks: Tasks) -> None:
    waits = learned(tasks)
    half_ns = int(DISTURBED * WALL_NS / 2)
    waits.begin()
    tasks.set("1", 2_000_000_000, 5 + half_ns)
    assert not waits.disturbed(WALL_NS)
    tasks.set("2", 2_000_000_000, 5 + half_ns + 1)
    assert waits.disturbed(WALL_NS)
    waits.close()


def test_what_a_thread_waited_between_two_steps_is_nobody_s(tasks: Tasks) -> None:
    waits = learned(tasks)
    waits.begin()
    assert not waits.disturbed(WALL_NS)
    tasks.set("1", 2_000_000_000, 5 + WALL_NS)
    waits.begin()
    assert not waits.disturbed(WALL_NS)
    waits.close()


def test_the_busiest_threads_are_looked_at(tasks: Tasks) -> None:
    """Of very many only some, because looking takes time."""
    names = [str(number) for number in range(1, MOST_THREADS + 5)]
    waits = CoreWaits(tasks.folder)
    with waits.learning():
        for number, name in enumerate(names):
            tasks.set(name, 10_000_000 + number, 0)
    waits.begin()
    for name in names[: len(names) - MOST_THREADS]:
        tasks.set(name, 20_000_000, WALL_NS)
    assert not waits.disturbed(WALL_NS)
    tasks.set(names[-1], 20_000_000, WALL_NS)
    assert waits.disturbed(WALL_NS)
    waits.close()


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize(
    ("interrupted", "ran_ns", "disturbed"),
    [(0, WALL_NS // 2, False), (1, WALL_NS // 2, True), (1, WALL_NS, False), (3, WALL_NS * 9 // 10, False)],
)
def test_without_the_kernel_s_count_the_engine_thread_tells(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counted: bool,
    interrupted: int,
    ran_ns: int,
    disturbed: bool,
) -> None:
    """Where there is no count, and where the kernel leaves it at 0."""
    if counted:
        Tasks(tmp_path).set("1", 0, 0)
    waits = CoreWaits(tmp_path)
    with waits.learning():
        pass
    interruptions, times = iter((4, 4 + interrupted)), iter((1_000, 1_000 + ran_ns))
    monkeypatch.setattr(waiting, "_interruptions", lambda: next(interruptions))
    monkeypatch.setattr(waiting.time, "thread_time_ns", lambda: next(times))
    waits.begin()
    assert waits.disturbed(WALL_NS) is disturbed


def test_a_thread_that_has_ended_holds_nothing_up(tasks: Tasks) -> None:
    waits = learned(tasks)
    waits.begin()
    (tasks.folder / "1" / "schedstat").write_text("")
    assert not waits.disturbed(WALL_NS)
    waits.close()
    waits.close()


def test_threads_in_other_processes_are_judged_by_the_telemetry() -> None:
    waits = NoWaits()
    with waits.learning():
        pass
    try:
        for taken in (False, True):
            CORES_HINDERED.set() if taken else CORES_HINDERED.clear()
            waits.begin()
            assert waits.disturbed(WALL_NS) is taken
    finally:
        CORES_HINDERED.clear()
        waits.close()
