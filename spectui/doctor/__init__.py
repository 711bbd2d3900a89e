"""`spectui doctor`: reports what works on this machine and what does not, with a fix for each problem.

`command` gathers facts and prints the checks; the other modules turn facts into checks. Must not know Textual. Neither
vLLM nor torch is ever imported into this process, and everything here works without them, a GPU or a sensor.
"""
