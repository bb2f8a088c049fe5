"""Maildirs (D. J. Bernstein, maildir(5)), served in place beside other programs.

`deliver` must start quickly, so the store, which needs asyncio and SQLite, is named by `app` alone
(`maildir.store`) and not here.
"""

from mailkeep.maildrop.maildir.delivery import Written, deliver
from mailkeep.maildrop.maildir.paths import MaildirPaths

__all__ = ["MaildirPaths", "Written", "deliver"]
