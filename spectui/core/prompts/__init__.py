"""Reads prompt files: turns bytes into prompts, or reports in one sentence which file and line are wrong. Lengthens
prompts for measurements."""

from spectui.core.prompts.padding import Padded, padded
from spectui.core.prompts.reading import Found, read_prompts
from spectui.core.prompts.rows import PromptError, printable, prompt_of, with_system

__all__ = ["Found", "Padded", "PromptError", "padded", "printable", "prompt_of", "read_prompts", "with_system"]
