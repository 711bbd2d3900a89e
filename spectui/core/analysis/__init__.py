"""Why drafts fail: where a drafter is refused, what that costs, and what would help.

A trace is folded into columns of numbers (`columns`), each lane is laid out by its judged tokens (`places`,
`dimensions`, `measured`), and every figure is computed from those at once (`analyse`). Imports NumPy: load it when an
analysis is asked for, not at start-up.
"""
