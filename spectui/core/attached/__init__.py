"""Figures of servers that run elsewhere: their endpoints and their requests in flight."""
