"""``spectui bench``: the matrix, headless."""
