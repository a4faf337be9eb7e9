"""Verifies what a ledger holds, a certificate, and its signature: the one door of this room, which changes nothing.

Who writes the chain and signs stands elsewhere (`rotation.ledger.events`, `rotation.lifecycle.signatures`), and imports
nothing from here.
"""

from rotation.audit.outcome import LedgerVerifyJson, render_verification
from rotation.audit.verification import Verification, verify

__all__ = ["LedgerVerifyJson", "Verification", "render_verification", "verify"]
