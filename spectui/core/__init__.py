"""Pure numbers: acceptance, rates, losslessness, the reducer and the views it publishes.

Imports the standard library, numpy and `spectui.protocol.events` only: no engine, no screen, no clock, no file.
"""
