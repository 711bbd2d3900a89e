"""What changed between two traces of the same prompts, beyond noise."""
