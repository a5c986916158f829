"""Real rigs over TCP: through pyasic, which only this room knows, and by HTTP of our own where that is simpler.

A rig is made from address, model and dialect; nothing is identified again at dispatch time. What pyasic returns means "sent" at most; its
defaults are not used (`is_mining` is true for a rig that was never reached); and `open_api`, `send_config` and anything else that writes
pools or opens a write interface is never called.
"""

import logging

from dispatch.rigs.asics.driver import OF_DIALECT, PyasicDriver
from dispatch.rigs.asics.scan import ScannedRig, scan

__all__ = ["OF_DIALECT", "PyasicDriver", "ScannedRig", "scan"]

# pyasic logs what rigs answer to the root logger. Readings and outcomes have it, in words of ours.
logging.getLogger().addFilter(lambda record: "pyasic" not in record.pathname)
