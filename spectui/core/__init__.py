"""Pure figures: acceptance, rates, losslessness, the reducer and the views it publishes.

This package imports only the standard library and `spectui.protocol`: no engine, no screen, no clock, no files.
"""
