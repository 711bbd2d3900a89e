"""SpecTUI: a terminal instrument for speculative decoding."""
