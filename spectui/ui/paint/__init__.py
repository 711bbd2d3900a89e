"""Puts rows of styled text onto the terminal: canvases, cells, frames, pictures."""
