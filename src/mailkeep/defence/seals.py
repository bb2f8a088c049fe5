"""Seals: by which two passwords are known to be the same without keeping either.

A plain hash of a wrong password, which is often nearly the right one, could be guessed from; this
one is keyed with the site's secret. Dovecot keeps CRC32 or a plain SHA-1 there.
"""

import hashlib

from mailkeep.values import NotPrepared, Secret, prepare_password

SEAL_OCTETS = 16

_PURPOSE = b"mailkeep door seal\0"
"""The site's key has other uses; what is sealed here is nothing anywhere else."""


class Seals:
    """Seals passwords with one key."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def seal(self, password: Secret) -> bytes:
        """Return a password's seal; one that can be no password is sealed as it is."""
        try:
            octets = prepare_password(password).reveal()
        except NotPrepared:
            octets = password.reveal()
        sealed = _PURPOSE + octets
        return hashlib.blake2b(sealed, key=self._key.reveal(), digest_size=SEAL_OCTETS).digest()
