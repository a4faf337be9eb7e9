"""The commands, one file a topic. Each imports what it needs when it runs, so that --help waits for no SQLAlchemy."""
