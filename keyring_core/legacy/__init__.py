"""Reads cells that other packages wrote, so that a column of theirs can be taken over."""

from keyring_core.legacy.legacy import Legacy
from keyring_core.legacy.package_cells import LegacyReader as LegacyReader

__all__ = ["Legacy"]
