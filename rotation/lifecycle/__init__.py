"""The lifecycle of a key: stage, promote, retire, restore; the proof of a retirement; the files that hold keys."""

from rotation.lifecycle.listing import ListedKey, list_keys
from rotation.lifecycle.operations import StepResult, promote, restore, retire, stage

__all__ = ["ListedKey", "StepResult", "list_keys", "promote", "restore", "retire", "stage"]
