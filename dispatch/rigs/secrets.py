"""Secrets by reference, `env:NAME` or `file:PATH`. A file may be encrypted ("sealed"): it opens with the site's key only.

The key is 32 random bytes in base64 (Fernet: AES-128-CBC with HMAC-SHA-256), in the environment variable LOADSTONE_KEY or in the file that
LOADSTONE_KEY_FILE names. No error, no repr and no log line of ours holds a secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import structlog
from cryptography.fernet import Fernet, InvalidToken

from dispatch.site_file.secret_files import SEALED, exposed

log = structlog.get_logger()

KEY, KEY_FILE = "LOADSTONE_KEY", "LOADSTONE_KEY_FILE"


def secret(reference: str, resolve: Callable[[str], Path]) -> str:
    """The secret that a reference leads to. Raises KeyError, OSError or ValueError; no message contains the secret."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return os.environ[rest]
    if kind == "file":
        path = resolve(rest)
        text = path.read_text("utf-8").strip()
        if exposed(path):
            log.warning("every user of this machine can read the secret", file=rest)
        return opened(text)
    raise ValueError("credentials must be env:NAME or file:PATH")


def opened(text: str) -> str:
    """The secret in a text: the text itself, or what is encrypted in it. Raises OSError or ValueError."""
    if not text.startswith(SEALED):
        return text
    try:
        return _cipher().decrypt(text.removeprefix(SEALED).encode()).decode()
    except InvalidToken:
        raise ValueError(f"the sealed secret does not open with the key of {KEY} or {KEY_FILE}") from None


def sealed(text: str) -> str:
    """A secret, encrypted with the site's key, as it may be kept on disk. Raises OSError or ValueError."""
    return SEALED + _cipher().encrypt(text.encode()).decode()


def new_key() -> str:
    """A new key for a site."""
    return Fernet.generate_key().decode()


def _cipher() -> Fernet:
    key = os.environ.get(KEY)
    if not key and (file := os.environ.get(KEY_FILE)):
        key = Path(file).read_text("utf-8").strip()
    if not key:
        raise ValueError(f"a sealed secret needs the site's key in {KEY}, or in the file that {KEY_FILE} names")
    try:
        return Fernet(key)
    except ValueError:
        raise ValueError(f"the key of {KEY} or {KEY_FILE} is not one: `loadstone keys seal --new-key` makes one") from None
