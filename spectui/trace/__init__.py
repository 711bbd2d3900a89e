"""A run as a file: how events are written as lines, recorded, read again, and reached from any side.

Owns the format of traces. Imports `spectui.protocol.events`, `spectui.core` and the standard library only: no engine,
no screen.
"""
