"""One widget per file, each drawn from a view object as rows of text."""
