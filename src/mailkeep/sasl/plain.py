"""PLAIN: a name and a password in one response (RFC 4616). That it needs TLS is the server's rule.

Known limits: nobody may act for somebody else, and the two names are compared octet for octet, so
`alice` for `alice@mail.example.com` is refused although it is the same account. Whether the octets
are UTF-8 is not asked here: whoever checks the name and the password refuses them like wrong ones.
"""

from mailkeep.sasl.mechanism import Challenge, PasswordCredentials, SaslFailed
from mailkeep.values import Secret

_FIELDS = 3
_LINE_BREAKS = (b"\r", b"\n")
"""RFC 4616 forbids only NUL; but a line break has no place in a name or a password, and whoever
sends one is trying what happens further on."""


class PlainServer:
    """PLAIN from the server's side; see `ServerMechanism`."""

    def step(self, response: Secret | None) -> Challenge | PasswordCredentials:
        """Ask with an empty challenge (RFC 4616 section 2), or take the message apart.

        Raises:
            SaslFailed: it is not `[authzid] NUL authcid NUL passwd`, or asks to act for another.
        """
        if response is None:
            return Challenge(b"")
        credentials = _take_apart(response)
        if isinstance(credentials, SaslFailed):
            raise credentials
        return credentials


def _take_apart(response: Secret) -> PasswordCredentials | SaslFailed:
    """Return what is wrong instead of raising it.

    An error that rises from here would take along this frame, which holds the password.
    """
    fields = response.reveal().split(b"\0")
    if len(fields) != _FIELDS:
        return SaslFailed("PLAIN: the response does not have exactly two NULs")
    authzid, authcid, password = fields
    if not authcid or not password:
        return SaslFailed("PLAIN: the name or the password is empty")
    if any(line_break in authcid + password for line_break in _LINE_BREAKS):
        return SaslFailed("PLAIN: there is a line break in the name or the password")
    if authzid not in {b"", authcid}:
        return SaslFailed("PLAIN: the client asks to act for somebody else")
    return PasswordCredentials(authcid, Secret(password))
