"""The arithmetic of a benchmark: what is measured, in which order, and what the measurements say."""
