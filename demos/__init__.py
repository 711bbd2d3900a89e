"""What a presenter runs: prompt sets, recipes and the demo drafters."""
