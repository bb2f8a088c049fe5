"""Which hosts are this machine: what goes there is seen by nobody on the way.

Known limit: of names only `localhost` is known (RFC 6761 section 6.3); nothing is looked up.
"""

from mailkeep.tls.hostnames import read_ip_address


def is_loopback(host: str) -> bool:
    """Tell whether a host, as `mailkeep.fetch.account.host_name` writes it, is this machine."""
    address = read_ip_address(host)
    return host == "localhost" if address is None else address.is_loopback
