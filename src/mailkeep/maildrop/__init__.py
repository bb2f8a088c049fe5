"""What a session sees of a mailbox. The stores (`memory`, `maildir`) are picked by `app` alone."""

from mailkeep.maildrop.listing import Listing
from mailkeep.maildrop.seam import (
    Body,
    Maildrop,
    MaildropBusy,
    MaildropError,
    MaildropStore,
    MaildropUnavailable,
    MessageGone,
    MessageUnreadable,
    Removal,
    WholeMessage,
)

__all__ = [
    "Body",
    "Listing",
    "Maildrop",
    "MaildropBusy",
    "MaildropError",
    "MaildropStore",
    "MaildropUnavailable",
    "MessageGone",
    "MessageUnreadable",
    "Removal",
    "WholeMessage",
]
