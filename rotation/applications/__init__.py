"""What is known of applications, and the trial of their rules on a stored token: the one door of this room.

Nobody who reads how a cell is rotated or a key retired has to enter it. What brings SQLAlchemy is imported where it is
used, since `init --app` and a shell that completes a name need none.
"""

from rotation.applications.key_entry import SecretPlace, entry_of, next_step, rule_in_words
from rotation.applications.key_trial import FittingRule, Given, Salt, StoredCell, Trial, cell_of, trial_of, try_rules
from rotation.applications.order_of_work import OwnKey, begin, preset_steps, setting_lines
from rotation.applications.presets import Preset, load_preset, preset_names, presets_of, recognised_steps
from rotation.applications.secrets_at_hand import HeldSecret, held_secrets, passphrase_in, try_held, unopened

__all__ = [
    "FittingRule",
    "Given",
    "HeldSecret",
    "OwnKey",
    "Preset",
    "Salt",
    "SecretPlace",
    "StoredCell",
    "Trial",
    "begin",
    "cell_of",
    "entry_of",
    "held_secrets",
    "load_preset",
    "next_step",
    "passphrase_in",
    "preset_names",
    "preset_steps",
    "presets_of",
    "recognised_steps",
    "rule_in_words",
    "setting_lines",
    "trial_of",
    "try_held",
    "try_rules",
    "unopened",
]
