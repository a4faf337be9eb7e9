"""Columns that models declare."""
