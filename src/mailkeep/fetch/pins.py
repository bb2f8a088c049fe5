"""Pins as people write them: what browsers, openssl and curl print for a SHA-256.

5A:7B:...            openssl x509 -fingerprint -sha256 (32 pairs; colons or none)
n4bQgYhMfWWaL+...=   base64, also with curl's `sha256//` or `sha256:` before it
"""

import base64
import binascii
import re

from mailkeep.fetch.failures import WrongSettings

_OCTETS = 32


def parse_pin(text: str) -> bytes:
    """Return the 32 octets that a pin stands for.

    Raises:
        WrongSettings: it stands for none.
    """
    digits = re.sub(r"(?i)^sha-?256(//|:|=)|\s", "", text)
    if re.fullmatch(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}", digits):
        return bytes.fromhex(digits.replace(":", ""))
    try:
        octets = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != _OCTETS:
        raise WrongSettings(
            f"{text} is no SHA-256",
            hint="write 64 hexadecimal digits, with or without colons, or base64;"
            " `mailkeep fetch probe` prints both",
        )
    return octets
