"""Harmless log lines of many kinds, and how many of them the redactor changes."""
