"""The answers to legal commands, in one table.

Lines that are none are answered by `pop3`; a first line with a number stands where it is sent.

Which error gets which answer: LoginRefused, CheckUnavailable (before login); MaildropBusy,
MaildropUnavailable (where the two programs meet); MessageGone, MessageUnreadable (after login).
The texts are constants: the outside learns nothing (no name, path, version or reason). A code
tells programs whether to ask for another password ([AUTH]) or to try again ([IN-USE],
[SYS/TEMP]); RFC 2449 section 8.1, RFC 3206 section 4.
"""

from mailkeep.pop3 import Err, Ok, ResponseCode

GREETING = Ok(b"POP3 ready")
BYE = Ok(b"bye")

NAME_TAKEN_DOWN = Ok(b"now the password")
LOGGED_IN = Ok(b"the maildrop is open")
BEGIN_TLS = Ok(b"begin TLS")
CAPABILITIES = b"capabilities"
MECHANISMS = b"mechanisms"

LOGIN_REFUSED = Err(b"login refused", ResponseCode.AUTH)
CHECK_UNAVAILABLE = Err(b"cannot check the login now, try again later", ResponseCode.SYS_TEMP)
UNKNOWN_MECHANISM = Err(b"unknown mechanism")
EXCHANGE_FAILED = Err(b"that answer breaks the mechanism's rules")

MAILDROP_BUSY = Err(b"another session has this maildrop", ResponseCode.IN_USE)
MAILDROP_UNAVAILABLE = Err(b"cannot open the maildrop now, try again later", ResponseCode.SYS_TEMP)

NO_SUCH_MESSAGE = Err(b"no such message")
MESSAGE_DELETED = Err(b"that message is marked as deleted")
MESSAGE_GONE = Err(b"that message is gone")
MESSAGE_UNREADABLE = Err(b"cannot read that message now", ResponseCode.SYS_TEMP)
MARKED = Ok(b"marked as deleted")
UNMARKED = Ok(b"no message is marked as deleted")
NOTHING_DONE = Ok(b"done")
NOT_ALL_REMOVED = Err(b"some marked messages were not removed", ResponseCode.SYS_TEMP)
"""After QUIT the rest is gone; those that stayed are there at the next login."""
