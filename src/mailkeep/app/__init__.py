"""The one place that picks implementations and puts the parts together.

What the commands of `cli` need of a site they get here: its accounts, its bans, its maildrops, a
running server. No other room picks a store, a database, a log or an event loop; but `deliver`,
which must be quick, picks its own account lookup and delivery.
"""

from mailkeep.app.opening import open_accounts, open_bans, open_store, tell_server
from mailkeep.app.serving import serve

__all__ = ["open_accounts", "open_bans", "open_store", "serve", "tell_server"]
