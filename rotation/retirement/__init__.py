"""The decision whether a key may be retired, and the evidence for it. Pure."""
