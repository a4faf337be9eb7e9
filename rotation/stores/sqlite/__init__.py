"""SQLite: one folder for each kind of database."""
