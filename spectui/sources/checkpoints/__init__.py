"""Reads what a checkpoint says about itself, without its weights: on this machine, or on Hugging Face."""
