"""Real vLLM engines in this process: lanes, the tap, the fair race and the thread that owns them.

Importing this package is cheap; vLLM and torch are imported on the engine thread when `EngineHost` starts. Everything
that depends on vLLM's version is in `compat`. Never imports Textual.
"""
