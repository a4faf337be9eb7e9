"""The lifecycle of a key: stage, promote, retire, restore; the proof of a retirement; the files that hold keys."""
