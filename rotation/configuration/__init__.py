"""What an admin writes: rotation.toml, its targets, key sets and policy, presets of applications, and dotenv files."""
