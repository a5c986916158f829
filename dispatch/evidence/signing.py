"""Documents signed with Ed25519: the same document and key give the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


def create_key(file: Path) -> Ed25519PrivateKey:
    """A new key in a file that only its owner can read. Raises FileExistsError, OSError."""
    key = Ed25519PrivateKey.generate()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def read_key(file: Path) -> Ed25519PrivateKey:
    """The key in a PEM file. Raises OSError, and ValueError where the file holds no Ed25519 key."""
    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{file}: holds no Ed25519 key")
    return key


def read_public_key(file: Path) -> str:
    """The public key in a PEM file, of a private key the public one that belongs to it, 64 hex digits. Raises OSError, and ValueError where
    the file holds no Ed25519 key."""
    content = file.read_bytes()
    if b"PRIVATE KEY" in content:
        return public_hex(read_key(file))
    key = load_pem_public_key(content)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{file}: holds no Ed25519 key")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def signed(document: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document with its signature and the public key that checks it, hex."""
    content = {**document, "signed": True, "public_key": public_hex(key)}
    return {**content, "signature": key.sign(_bytes(content)).hex()}


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key that checks what a key signs, 64 hex digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def trusted(document: Mapping[str, Any], keys: Collection[str]) -> bool:
    """Whether a document is signed by one of the public keys that are trusted."""
    return document.get("public_key") in keys and signature_holds(document)


def signature_holds(document: Mapping[str, Any]) -> bool:
    """Whether the signature is of this document and of the public key that it names: anyone's key, see `trusted`."""
    content = {name: value for name, value in document.items() if name != "signature"}
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(document["public_key"])))
        key.verify(bytes.fromhex(str(document["signature"])), _bytes(content))
    except (KeyError, ValueError, InvalidSignature):
        return False
    return True


def _bytes(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
