"""SpecTUI: a terminal instrument for speculative decoding."""

__version__ = "0.1.0"
