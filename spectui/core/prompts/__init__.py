"""Reads prompt files: turns bytes into prompts, or reports in one sentence which file and line are wrong."""

from spectui.core.prompts.reading import Found, read_prompts
from spectui.core.prompts.rows import PromptError, printable, prompt_of, with_system

__all__ = ["Found", "PromptError", "printable", "prompt_of", "read_prompts", "with_system"]
