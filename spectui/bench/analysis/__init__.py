"""``spectui analyze``: reads traces, has them analysed, and shows what was found."""
