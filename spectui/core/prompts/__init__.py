"""Reads prompt files: from bytes to prompts, or one sentence that names the file and the line."""

from spectui.core.prompts.reading import Found, read_prompts
from spectui.core.prompts.rows import PromptError, printable, prompt_of, with_system

__all__ = ["Found", "PromptError", "printable", "prompt_of", "read_prompts", "with_system"]
