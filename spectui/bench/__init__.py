"""The measuring harness and the commands that measure with it. Never imports Textual."""
