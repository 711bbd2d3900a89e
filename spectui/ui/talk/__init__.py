"""Talks: the script, its performance, and slow motion."""
