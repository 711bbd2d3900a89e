"""Charts as SVG, written by hand: nothing to install, and the same bytes everywhere."""
