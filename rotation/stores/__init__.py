"""Databases with tokens: read by ranges of keys, swapped one for one."""
