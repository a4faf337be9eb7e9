"""The lifecycle of a key: stage, promote, retire, restore; the proof of a retirement; the files that hold keys."""

from rotation.lifecycle.operations import ListedKey, StepResult, list_keys, promote, restore, retire, stage

__all__ = ["ListedKey", "StepResult", "list_keys", "promote", "restore", "retire", "stage"]
