"""Tests of spectui.setup."""
