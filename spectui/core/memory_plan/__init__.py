"""What lanes will take of a device's memory, worked out before anything is loaded.

From configurations and headers of checkpoints alone: `checkpoint` and `layers` say what a model is, `weights` what the
loaded weights take, `cache` what requests take, `plan` what all lanes take together, and `cuts` what to change if that
does not fit.
"""
