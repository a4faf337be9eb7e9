"""Where tokens are kept: read by ranges of keys, swapped one for one."""
