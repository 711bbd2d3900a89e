"""From what a user asks for to what engines are given: options, their values, prompts, lanes."""
