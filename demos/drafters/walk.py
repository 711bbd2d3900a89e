"""Predicts what vLLM will measure: walks through an answer as greedy speculative decoding does."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Acceptance:
    """Counts over verification steps; position i (from 0) counts the steps whose first i+1 drafts were all accepted."""

    steps: int = 0
    at_position: list[int] = field(default_factory=list)

    def add(self, accepted: int, k: int) -> None:
        self.steps += 1
        self.at_position.extend([0] * (k - len(self.at_position)))
        for position in range(accepted):
            self.at_position[position] += 1

    def merge(self, other: Acceptance) -> None:
        self.steps += other.steps
        self.at_position.extend([0] * (len(other.at_position) - len(self.at_position)))
        for position, count in enumerate(other.at_position):
            self.at_position[position] += count

    @property
    def rates(self) -> list[float]:
        """Unconditional acceptance at each position."""
        return [count / max(self.steps, 1) for count in self.at_position]

    @property
    def length(self) -> float:
        """1 + accepted / steps."""
        return 1 + sum(self.at_position) / max(self.steps, 1)

    def __str__(self) -> str:
        rates = " ".join(f"{rate:.3f}" for rate in self.rates)
        return f"length {self.length:.3f}, acceptance {rates} ({self.steps} steps)"


def walk(right: list[list[bool]], k: int) -> Acceptance:
    """Acceptance over one answer.

    Args:
        right: ``right[n][i]`` says whether, with n answer tokens known (n from 1), draft i is the target's token n + i;
            shorter where the answer ends. Entry 0 is not used: the first token comes from the prefill.
        k: Drafts per step.
    """
    acceptance = Acceptance()
    known = 1
    while known < len(right):
        drafts = right[known][:k]
        accepted = next((i for i, good in enumerate(drafts) if not good), len(drafts))
        acceptance.add(accepted, k)
        known += accepted + 1
    return acceptance
