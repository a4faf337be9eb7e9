"""Key dates, runs, censuses and instances, in a small database of our own. Holds no secret."""
