"""The tone of every word that says how something stands: what is well, what goes on, what waits, what went wrong.

A word has one tone wherever it stands; a test reads the words from the database and refuses one that is not here.
"""

from __future__ import annotations

from typing import Final

_WORDS: Final = {
    # Well, or done as it should be.
    "good": "accepted active applied approved completed connected create created delivered done granted made merged ok"
    " online open paid published read resolved sent succeeded synced used verified yes",
    # On its way, by itself.
    "info": "accept_client accept_server creating doing draft idle in_progress logged moving not_started opening"
    " pending_sync processing received requested requires_capture shortlisted submitted syncing todo update uploading",
    # Waits for somebody.
    "warn": "conflict held on_hold pending requires_action requires_confirmation requires_payment"
    " requires_payment_method suspended waiting waiting_on_materials",
    # Went wrong, or ended somebody's way in.
    "bad": "aborted broken dead delete error failed gone quarantined rejected revoked",
    # Over, without being right or wrong.
    "neutral": "aborting canceled cancelled dropped expired inactive none quiet superseded withdrawn",
}

TONES: Final = {word: tone for tone, words in _WORDS.items() for word in words.split()}


def tone_of(word: object) -> str:
    """The tone of a badge that says ``word``, in whatever capitals; neutral where nobody gave it one."""
    return TONES.get(str(word).lower().replace(" ", "_"), "neutral")
