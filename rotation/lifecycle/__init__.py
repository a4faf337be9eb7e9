"""The steps of a key: stage, promote, suspend, resume, retire, restore; the proof of a retirement; files of keys."""

from rotation.lifecycle.listing import ListedKey, list_keys
from rotation.lifecycle.operations import promote, restore, retire, stage
from rotation.lifecycle.steps import StepResult
from rotation.lifecycle.suspension import resume, suspend

__all__ = ["ListedKey", "StepResult", "list_keys", "promote", "restore", "resume", "retire", "stage", "suspend"]
