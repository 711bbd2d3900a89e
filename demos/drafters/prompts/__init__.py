"""The training prompts: templates times topic lists over eleven categories, written for this project.

The text lies in ``data/``: one file per category with a ``[templates]`` section and a section per field; ``common.txt``
has phrases for every category, ``passages.txt`` our own texts for rag and summarization, ``openings.txt`` the first
words that the target completes to prompts of its own. ``demos/prompts/heldout.jsonl`` is never read here but for
leaving out what it holds.
"""

from demos.drafters.prompts.compose import CATEGORIES, heldout_prompts, openings, training_prompts

__all__ = ["CATEGORIES", "heldout_prompts", "openings", "training_prompts"]
