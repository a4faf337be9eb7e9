"""Values in, text out: terminal, JSON, metrics, monitoring plugin. Opens nothing."""
