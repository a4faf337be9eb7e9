"""Where tokens are kept: each store reads cells by ranges of keys and swaps them one for one."""
