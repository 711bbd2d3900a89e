"""The real program with real engines, as people meet it."""
