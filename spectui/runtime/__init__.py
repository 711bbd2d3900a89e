"""Wiring: terminal ownership, logs, engine environment, mailbox, frame slot, start and stop order."""
