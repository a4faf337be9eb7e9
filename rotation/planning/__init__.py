"""Decides for each cell that was read whether it is rewritten, and with what. Knows no database."""
