"""Colours: palettes, theme files, and the app that uses them."""
