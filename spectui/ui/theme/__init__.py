"""Colours: palettes, theme files and the app that wears them."""
