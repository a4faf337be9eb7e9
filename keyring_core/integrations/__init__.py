"""Encrypted columns for the libraries that services declare their models with. Each module imports its own library."""
