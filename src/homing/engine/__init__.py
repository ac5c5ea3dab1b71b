"""The sync engine: stamps, scopes, push, pull, merge, conflicts. Knows no HTTP and no application.

Read in this order: ``homing/protocol/token.py`` (what a token is), ``stamps.py`` (how every write leaves its mark),
``pull.py`` (how a delta is made), ``push.py`` (how a batch is applied), ``merge.py`` (how two edits become one).
"""

from homing.engine.caller import Caller
from homing.engine.engine import Engine, open_engine

__all__ = ["Caller", "Engine", "open_engine"]
