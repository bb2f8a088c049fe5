"""Signed checkpoints of the audit trail, and the key that signs them.

A chain alone shows that lines fit each other; somebody who may write the files can forge all of
them. A checkpoint signs the head of the chain with Ed25519 (RFC 8032) and names the checkpoint
before it. What it is good for depends on where a copy of it is: `checkpoints` beside the trail is
small, and copied to another machine it shows what was cut off or written anew since.

Known limit: the key lies on the same machine, so whoever is root there can sign a forged trail;
only a copy of the checkpoints elsewhere tells on him.
"""

import base64
import binascii
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mailkeep.events.records import Line, NoRecord, canonical, time_text

KEY_NAME = "signing.key"
PUBLIC_KEY_NAME = "signing.pub"

CHECKPOINT_EVENTS = 1000
"""After so many events one is due: what is unsigned stays little, and signing costs nothing."""

CHECKPOINT_S = 60.0
"""An event waits no longer for its signature."""

_PRIVATE_MODE = 0o600
_PUBLIC_MODE = 0o644


class BadKey(ValueError):
    """A signing key that cannot be used; the text says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says.

    Attributes:
        seq: the number of the last event before it.
        head: SHA-256 of the line before it.
        previous: SHA-256 of the checkpoint's line before it.
    """

    seq: int
    head: str
    previous: str


def is_checkpoint(line: Line) -> bool:
    """Tell a checkpoint from an event."""
    return "checkpoint" in line


def checkpoint_in(line: Line) -> Checkpoint:
    """Return what a checkpoint's line says, unverified.

    Raises:
        NoRecord: the line is none.
    """
    match line:
        case {"checkpoint": int(seq), "head": str(head), "previous": str(previous)}:
            return Checkpoint(seq, head, previous)
        case _:
            raise NoRecord("it has not the keys of a checkpoint")


def checkpoint_line(key: Ed25519PrivateKey, at: datetime, checkpoint: Checkpoint) -> bytes:
    """Return a signed checkpoint's line, without its end."""
    said: dict[str, object] = {
        "checkpoint": checkpoint.seq,
        "time": time_text(at),
        "head": checkpoint.head,
        "previous": checkpoint.previous,
    }
    signature = base64.b64encode(key.sign(canonical(said))).decode("ascii")
    return canonical(said | {"signature": signature})


def is_signed_by(key: Ed25519PublicKey, line: Line) -> bool:
    """Tell whether a checkpoint's line has a good signature."""
    said = {name: value for name, value in line.items() if name != "signature"}
    try:
        key.verify(base64.b64decode(str(line.get("signature")), validate=True), canonical(said))
    except (InvalidSignature, binascii.Error):
        return False
    return True


def open_key(folder: Path) -> Ed25519PrivateKey:
    """Return the key in the trail's folder, which is made when there is none yet.

    The file appears whole: a crash leaves a key or none, never half of one.

    Raises:
        OSError: it cannot be read or written.
        BadKey: what is there is no such key, or the trail was signed with another.
    """
    path, public_path = folder / KEY_NAME, folder / PUBLIC_KEY_NAME
    if not path.exists():
        if public_path.exists():
            raise BadKey(
                f"{path} is missing: put it back, or move {folder} away to begin a new trail"
            )
        _write_whole(path, _private_octets(Ed25519PrivateKey.generate()), _PRIVATE_MODE)
    key = _read_key(path)
    public = _public_octets(key.public_key())
    if not public_path.exists():
        _write_whole(public_path, public, _PUBLIC_MODE)
    elif public_path.read_bytes() != public:
        raise BadKey(f"{path} does not belong to {public_path}: put the right one back")
    return key


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as cause:
        raise BadKey(f"{path} holds no key without a passphrase") from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey(f"{path} holds no Ed25519 key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Return a public key from a file.

    Raises:
        OSError: it cannot be read.
        BadKey: it is no such key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except ValueError as cause:
        raise BadKey(f"{path} holds no public key") from cause
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey(f"{path} holds no Ed25519 key")
    return key


def _private_octets(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _public_octets(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _write_whole(path: Path, octets: bytes, mode: int) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
