"""A strict stand-in for the tag calls of TIMPush, over HTTP on 127.0.0.1.

It keeps tags per account, verifies the UserSig, enforces the documented limits and injects faults.
Use `TimPushServer` as a context manager, or `python -m timpush_server` as a process of its own,
driven through the JSON control plane under `/_control/` (see `control.py`).
"""

from timpush_server.calls import Received
from timpush_server.faults import Fault
from timpush_server.server import TimPushServer

__all__ = ["Fault", "Received", "TimPushServer"]
