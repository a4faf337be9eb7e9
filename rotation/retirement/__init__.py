"""Whether a key may go. Every command that says anything about that asks here. Pure."""
