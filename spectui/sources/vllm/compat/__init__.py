"""Everything that depends on vLLM's internals, so that a new release changes only this package. For vLLM 0.32."""
