"""Real rigs over TCP through pyasic. The only room that knows it.

A rig is made from address, model and dialect; nothing is identified again at dispatch time. pyasic's word is "sent" at most, its
defaults (`is_mining` is true of a rig that was never reached) are not believed, and `open_api`, `send_config` and anything else that
writes pools or opens a write interface is never called.
"""

from dispatch.rigs.asics.driver import OF_DIALECT, Asics
from dispatch.rigs.asics.scan import Found, scan

__all__ = ["OF_DIALECT", "Asics", "Found", "scan"]
