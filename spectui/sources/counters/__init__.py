"""What servers tell over HTTP without the tap: their counters, and the figures of prompts that are sent from here.

Counters are never turned into steps. Everything that a server answers is treated as hostile: it is bounded in time and
size, and what makes no sense is counted and dropped.
"""
