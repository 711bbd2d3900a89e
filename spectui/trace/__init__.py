"""A run as a file: how events are written as lines, recorded, read again, and reached from any side.

Owns the format of traces. Imports `spectui.protocol.events`, `spectui.core`, the standard library and, for lines of
steps, msgspec: no engine, no screen.
"""
