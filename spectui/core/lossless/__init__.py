"""Does speculation change what the target says? Greedy texts token by token, and samples beside probabilities."""
