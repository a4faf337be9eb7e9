"""A verdict as text, as one line, as JSON, as metrics, and as a ping."""
