"""Turns what a user asks for into what engines are given: options, their values, prompts, lanes; and into engines that
are measured without a screen."""
