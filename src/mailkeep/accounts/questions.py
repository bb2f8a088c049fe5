"""What is asked of an account's row, for each kind of claim: is this proved by it?

A question is put twice, to what is read before anybody is slowed down and to what is read when it
is decided: what was changed meanwhile is answered by the second. Pure.
"""

import functools
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from mailkeep.accounts.credentials import Credential, DeviceCredential
from mailkeep.accounts.deciding import Evidence, Proof, Proven
from mailkeep.accounts.generated import read_generated
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.seam import Device, PasswordClaim, Refusal, ScramClaim, ScramKey
from mailkeep.values import (
    Address,
    InvalidAddress,
    NotPrepared,
    Secret,
    prepare_password,
)

NAME_LIMIT_OCTETS = 320
"""No address is longer (RFC 5321 section 4.5.3.1); of what is, the beginning is shown."""

NAMES_KEPT = 4096
"""Whose addresses need not be read again, about 1 KB each: a program names the same account at
every login, and reading it takes as long as all its other questions together."""


@dataclass(slots=True)
class PasswordQuestion:
    """Whether a password is one of the account's devices'; the main one takes a hash to tell."""

    address: Address | None
    password: Secret | None
    """Prepared; None when it can be no main password."""
    letters: Secret | None
    """None when it can be no device's password."""
    keying: Keying = field(repr=False)

    def evidence(self, credential: Credential) -> Evidence:
        """Compare it with every device's.

        What can be no device's is not even sealed: whoever sent it knows that himself.
        """
        device = None
        if self.letters is not None:
            seal = self.keying.seal(credential.account.id, self.letters)
            device = _device_of_seal(credential.devices, seal)
        return Evidence(self.address, credential.account, device or Refusal.WRONG_PASSWORD)


@dataclass(frozen=True, slots=True)
class ScramQuestion:
    """Whether a key that was proved is still one of the account's."""

    address: Address | None
    proved: ScramKey | None

    def evidence(self, credential: Credential) -> Evidence:
        """Look for the key."""
        return Evidence(self.address, credential.account, self._proof(credential))

    def _proof(self, credential: Credential) -> Proof:
        if self.proved is None:
            return Refusal.WRONG_PROOF
        if _is_same_key(self.proved, credential.main_key):
            return Proven.MAIN_PASSWORD
        for device in credential.devices:
            if any(_is_same_key(self.proved, key) for key in device.keys):
                return device.device
        return Refusal.WRONG_PROOF


@dataclass(frozen=True, slots=True)
class CertificateQuestion:
    """Whether a client certificate is one of a device's, of the account that was named if any."""

    is_named: bool
    address: Address | None
    sha256: str

    def evidence(self, credential: Credential) -> Evidence:
        """Look for the certificate."""
        account = credential.account
        if self.is_named and self.address != account.address:
            return Evidence(self.address, account, Refusal.UNKNOWN_CERTIFICATE)
        return Evidence(account.address, account, self._proof(credential))

    def _proof(self, credential: Credential) -> Proof:
        for device in credential.devices:
            if device.device.certificate == self.sha256:
                return device.device
        return Refusal.UNKNOWN_CERTIFICATE


@dataclass(frozen=True, slots=True)
class TokenQuestion:
    """Whether there is an account that a good token was issued to; its goodness was found out."""

    address: Address | None
    is_good: bool
    """And of the account that was named, if any."""

    def evidence(self, credential: Credential) -> Evidence:
        """Return what was found out."""
        proof = Proven.TOKEN if self.is_good else Refusal.BAD_TOKEN
        return Evidence(self.address, credential.account, proof)


Question = PasswordQuestion | ScramQuestion | CertificateQuestion | TokenQuestion
"""`evidence` tells whom the claim names, and what it proves of what was read."""


def ask_password(claim: PasswordClaim, default_domain: str, keying: Keying) -> PasswordQuestion:
    """Return the question of a name and a password."""
    return PasswordQuestion(
        read_address(claim.name_untrusted, default_domain),
        _prepared(claim.password_untrusted),
        read_generated(claim.password_untrusted),
        keying,
    )


def ask_scram(claim: ScramClaim, default_domain: str) -> ScramQuestion:
    """Return the question of a finished SCRAM exchange."""
    proved = None if claim.proved is None else claim.keys.keys[claim.proved]
    return ScramQuestion(read_address(claim.name_untrusted, default_domain), proved)


def read_address(name_untrusted: bytes, default_domain: str) -> Address | None:
    """Return the address that a client names; None when it names none."""
    read = _remembered_address if len(name_untrusted) <= NAME_LIMIT_OCTETS else _parse_address
    return read(name_untrusted, default_domain)


def _parse_address(name_untrusted: bytes, default_domain: str) -> Address | None:
    try:
        return Address.parse(name_untrusted.decode(), default_domain=default_domain)
    except (UnicodeDecodeError, InvalidAddress):
        return None


_remembered_address = functools.lru_cache(NAMES_KEPT)(_parse_address)


def show_name(name_untrusted: bytes) -> str:
    """Return a name that is no address in printable characters, at most 1280 of them."""
    text = name_untrusted[:NAME_LIMIT_OCTETS].decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _prepared(password_untrusted: Secret) -> Secret | None:
    try:
        return prepare_password(password_untrusted)
    except NotPrepared:
        return None


def _device_of_seal(devices: Iterable[DeviceCredential], seal: bytes) -> Device | None:
    """Return the device with this seal; all are compared, whichever it is."""
    found = [one.device for one in devices if hmac.compare_digest(one.seal or b"", seal)]
    return found[0] if found else None


def _is_same_key(one: ScramKey, other: ScramKey | None) -> bool:
    """Compare by whose they are and by both keys, in a time that tells nothing of these."""
    if other is None or one.device != other.device:
        return False
    return (one.stored_key == other.stored_key) & (one.server_key == other.server_key)
