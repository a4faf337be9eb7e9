"""Columns of encrypted types that an application's own models declare. Each library is imported only if it is named."""
