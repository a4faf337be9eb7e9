"""The work of a run: passes over ranges of rows, here or by many workers, at a pace that services bear."""
