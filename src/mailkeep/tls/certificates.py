"""The certificate of a running server, and how a new one takes its place.

A new pair of files is read, checked and turned into a new context; then one reference changes.
Connections keep the context they began with. Files that cannot work leave everything as it was: a
server with yesterday's certificate is better than none. What works but should be mended (dates,
names, a chain out of order) is not refused here; `judge_certificate` tells it.

It must not know signals, timers or events. Blocking: a look is two `stat`, a reload some
milliseconds. Known limit: files that are changed in place within one tick of the file system's
clock and keep their size look unchanged; `reload` reads them whatever they look like.
"""

import ssl
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from mailkeep.tls.binding import server_end_point
from mailkeep.tls.contexts import server_context
from mailkeep.tls.description import CertificateDescription, describe
from mailkeep.tls.errors import CertificateProblem
from mailkeep.tls.pem_files import is_pair, read_chain, read_key

_FileStamp = tuple[int, int, int] | None
"""What tells one content of a file from another: time, size, inode; None for no file."""


class InForce(NamedTuple):
    """What one new connection uses; both are of the same certificate."""

    context: ssl.SSLContext
    end_point: bytes | None
    """The channel binding `tls-server-end-point` (RFC 5929 section 4); None where there is none."""


class Certificates:
    """Holds the context for new connections.

    Raises:
        CertificateProblem: the files cannot be used at the start.
    """

    __slots__ = (
        "_certificate",
        "_client_ca",
        "_description",
        "_in_force",
        "_key",
        "_minimum",
        "_stamp",
        "_told",
    )

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        minimum: ssl.TLSVersion,
        client_ca: Path | None = None,
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._minimum = minimum
        self._client_ca = client_ca
        self._told: tuple[object, str] | None = None
        self.reload()

    @property
    def in_force(self) -> InForce:
        """What a new connection uses; do not keep it for the next one."""
        return self._in_force

    @property
    def context(self) -> ssl.SSLContext:
        """The context alone; do not keep it for the next connection."""
        return self._in_force.context

    @property
    def end_point(self) -> bytes | None:
        """The channel binding of the certificate in force."""
        return self._in_force.end_point

    @property
    def description(self) -> CertificateDescription:
        """What the certificate in use says."""
        return self._description

    def reload(self) -> CertificateDescription:
        """Read the files and use them from the next connection on.

        Raises:
            CertificateProblem: they cannot be used; the old ones stay in use.
        """
        # Taken before reading: what changes meanwhile is seen as a change the next time.
        stamp = self._read_stamp()
        description = describe(self._certificate)
        check_pair(self._certificate, self._key)
        self._in_force = self._read()
        self._description = description
        self._stamp = stamp
        self._told = None
        return description

    def reload_if_changed(self) -> CertificateDescription | None:
        """Do the same if a file looks different from the one in use; None if nothing was loaded.

        Files that cannot be used are tried again at every call and told of once: the other half of
        a pair may be on its way.

        Raises:
            CertificateProblem: as `reload`, the first time for this state of the files.
        """
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return None
        try:
            return self.reload()
        except CertificateProblem as problem:
            told, self._told = self._told, (stamp, str(problem))
            if told == self._told:
                return None
            raise

    def _read(self) -> InForce:
        """Return what the files hold.

        Should the file be replaced between the two readings, logins that are bound to the channel
        fail until the next look; none succeeds that should not.
        """
        context = server_context(self._certificate, self._key, self._minimum, self._client_ca)
        der = read_chain(self._certificate)[0].public_bytes(Encoding.DER)
        return InForce(context, server_end_point(der))

    def _read_stamp(self) -> tuple[_FileStamp, ...]:
        files = (self._certificate, self._key, self._client_ca)
        return tuple(_file_stamp(path) for path in files if path is not None)


def check_pair(certificate: Path, key: Path) -> None:
    """Return if the key in one file belongs to the first certificate in the other.

    Raises:
        CertificateProblem: it does not, or one of them cannot be read.
    """
    chain, private_key = read_chain(certificate), read_key(key)
    if is_pair(chain[0], private_key):
        return
    if any(is_pair(other, private_key) for other in chain):
        raise CertificateProblem(
            certificate,
            "the server's certificate is not the first in the file",
            "put it first, then its issuer, and so on",
        )
    raise CertificateProblem(
        key,
        f"the key does not belong to the certificate {certificate}",
        "take both from the same place; with certbot: fullchain.pem and privkey.pem",
    )


def _file_stamp(path: Path) -> _FileStamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
