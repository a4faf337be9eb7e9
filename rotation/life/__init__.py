"""The life of a key, from staged to retired: what is allowed, what it needs, and what becomes of its files."""
