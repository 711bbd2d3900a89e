"""Servers that run elsewhere, as a source."""
