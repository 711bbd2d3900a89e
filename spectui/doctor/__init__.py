"""What works on this machine and what does not, each with its fix: `spectui doctor`.

`command` gathers facts and prints, the other modules turn facts into checks. Must not know: Textual. Neither vLLM nor
torch is ever imported into this process, and everything here works where they, a GPU or a sensor are missing.
"""
