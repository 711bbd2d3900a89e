"""The measuring harness and what is measured with it. Never imports Textual."""
