"""Picking how OAuth tokens are checked."""

from pathlib import Path

from mailkeep.accounts import TokenCheck
from mailkeep.site import Oauth
from mailkeep.values import Secret


def make_token_check(chosen: Oauth | None, folder: Path) -> TokenCheck | None:
    """Return what checks tokens, to be closed in the end; None when none is good.

    Args:
        chosen: the settings.
        folder: where relative paths start.

    Raises:
        OSError: the asker's secret cannot be read.
        ValueError: an algorithm is not known.
    """
    if chosen is None:
        return None
    # They bring a megabyte that a site without tokens would keep in each of its processes.
    from mailkeep.accounts.asking import HttpsTransport
    from mailkeep.accounts.introspection import IntrospectionCheck
    from mailkeep.accounts.key_sets import FileKeys, UrlKeys
    from mailkeep.accounts.signed_tokens import JwtCheck
    from mailkeep.accounts.token_claims import TokenRules

    rules = TokenRules(chosen.issuer, chosen.audience, chosen.scope, chosen.name_claim)
    if chosen.introspection:
        secret = Secret(b"")
        if chosen.client_secret_file is not None:
            secret = Secret((folder / chosen.client_secret_file).read_bytes().strip())
        return IntrospectionCheck(
            chosen.introspection,
            rules,
            HttpsTransport(),
            client_id=chosen.client_id,
            client_secret=secret,
        )
    is_url = chosen.keys.startswith("https://")
    keys = UrlKeys(chosen.keys, HttpsTransport()) if is_url else FileKeys(folder / chosen.keys)
    return JwtCheck(rules, keys, algorithms=chosen.algorithms)
