"""What a command finds around it, and changes there: its process, its environment and files, its key rings."""
