"""What is kept of a device's password, and the salt of an account: all under the site's key.

Pure but for the computing: no database, no clock. Known limit: with another site key every device
password is wrong and the salts of accounts without keys change.
"""

import hashlib
from dataclasses import dataclass

from mailkeep.accounts.generated import forms_of
from mailkeep.accounts.site_key import SiteKey
from mailkeep.sasl import ScramKeys
from mailkeep.values import AccountId, Address, Secret

SEAL_OCTETS = 32
"""BLAKE2b-256."""

KEY_OCTETS = 32
"""A stored key and a server key of SCRAM-SHA-256 have as many each."""

SALT_OCTETS = 16
"""RFC 5802 asks for none in particular; as many as other servers have, so as not to be known by."""


@dataclass(frozen=True, slots=True)
class ScramBase:
    """The salt and the count that all credentials of an account share."""

    salt: bytes
    iterations: int


class Keying:
    """Seals device passwords and finds salts.

    Args:
        key: the site's.
        scram_iterations: for accounts that have no SCRAM keys yet.
    """

    def __init__(self, key: SiteKey, *, scram_iterations: int) -> None:
        self.key_identifier = key.identifier
        self.scram_iterations = scram_iterations
        self._sealing = key.derive("device passwords").reveal()
        self._salting = key.derive("scram salts").reveal()
        self._choosing = key.derive("scram iterations").reveal()

    def seal(self, account: AccountId, letters: Secret) -> bytes:
        """Return what is kept of a device's password; it is good for this account only.

        Args:
            account: whose device it is.
            letters: as `read_generated` returns them.
        """
        sealed = b"%d " % account + letters.reveal()
        return hashlib.blake2b(sealed, key=self._sealing, digest_size=SEAL_OCTETS).digest()

    def base_for(self, address: Address) -> ScramBase:
        """Return the salt and count that an account starts with; the same for who has none.

        Nothing tells the salt of an account from one that is made up for a name.
        """
        return ScramBase(self.salt_for(str(address)), self.scram_iterations)

    def salt_for(self, name: str) -> bytes:
        """Return the salt of a name, whoever has it; 16 octets, always the same."""
        return _keyed(self._salting, name, SALT_OCTETS)

    def share_of(self, name: str) -> float:
        """Return a number from 0 up to 1 that a name always has, to choose a count by."""
        return int.from_bytes(_keyed(self._choosing, name, 6)) / 2**48


def scram_keys_for(shown: Secret, base: ScramBase) -> bytes:
    """Return the SCRAM keys of a device's password in both its forms, as they are kept.

    Takes as long as the count says, twice.
    """
    forms = (ScramKeys.derive(form, base.salt, base.iterations) for form in forms_of(shown))
    return b"".join(keys.stored_key.reveal() + keys.server_key.reveal() for keys in forms)


def divide_scram_keys(kept: bytes) -> list[tuple[Secret, Secret]]:
    """Return the stored key and the server key of each form of a password."""
    parts = [Secret(kept[at : at + KEY_OCTETS]) for at in range(0, len(kept), KEY_OCTETS)]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _keyed(key: bytes, text: str, octets: int) -> bytes:
    return hashlib.blake2b(text.encode(), key=key, digest_size=octets).digest()
