"""What an admin types: the commands, their options, signals and exit codes. The only folder that knows click."""
