"""Why a server's certificate was refused, in words for the person who called the server.

OpenSSL's own words ("unable to get local issuer certificate") say what its search did, not what is
wrong. It must not know connections.

Known limit: OpenSSL does not say through `ssl` which certificate of the chain it means.
"""

import ssl

from mailkeep.tls.errors import CertificateRefused

_ASK_OWNER = "the server's owner has to mend it"
_OWN_AUTHORITY = (
    "if its authority is a private one, give that authority's PEM file; "
    "if not, the server may leave out a part of its chain"
)
_OWN_SELF_SIGNED = (
    "if it is meant to be, ask the server's owner for its SHA-256 fingerprint and pin that, "
    "or give the certificate as an authority"
)
_SELF_SIGNED = ("the certificate of {name} is self-signed: nobody vouches for it", _OWN_SELF_SIGNED)
_UNKNOWN_AUTHORITY = (
    "the certificate of {name} is from an authority that is not trusted here",
    _OWN_AUTHORITY,
)
_WRONG_HOST = (
    "the certificate is not for {name}",
    "call the server by a name that its certificate has; its owner knows which",
)

_REASONS = {
    2: _UNKNOWN_AUTHORITY,
    9: (
        "the certificate of {name}, or one of its chain, is not valid yet",
        "check this machine's clock",
    ),
    10: ("the certificate of {name}, or one of its chain, has expired", _ASK_OWNER),
    18: _SELF_SIGNED,
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    62: _WRONG_HOST,
    64: _WRONG_HOST,
}
"""By X509_V_ERR_ number (OpenSSL: include/openssl/x509_vfy.h), which its releases keep."""


def describe_refusal(error: ssl.SSLCertVerificationError, name: str) -> CertificateRefused:
    """Return what a verification error means.

    Args:
        error: from OpenSSL.
        name: by which the server was called.
    """
    if error.verify_code not in _REASONS:
        text = f"the certificate of {name} is refused: {error.verify_message}"
        return CertificateRefused(text, _ASK_OWNER)
    text, hint = _REASONS[error.verify_code]
    return CertificateRefused(text.format(name=name), hint)
