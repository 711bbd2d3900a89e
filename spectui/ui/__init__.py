"""The screen: the only room that imports Textual. Never imports vLLM."""
