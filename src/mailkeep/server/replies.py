"""The answers to legal commands, in one table.

Lines that are none are answered by `pop3`; a first line with a number stands where it is sent.

Which error gets which answer: LoginRefused, CheckUnavailable, DoorUnavailable and whatever the door
has against a login (before login); MaildropBusy,
MaildropUnavailable (where the two programs meet); MessageGone, MessageUnreadable (after login).
The texts are constants: the outside learns nothing (no name, path, version or reason). A code
tells programs whether to ask for another password ([AUTH]) or to try again ([IN-USE],
[LOGIN-DELAY], [SYS/TEMP]); RFC 2449 section 8.1, RFC 3206 section 4, RFC 6856 section 6. Each text
has another one in German, in `texts`.
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
TOO_SOON = Err(b"wait longer between two logins", ResponseCode.LOGIN_DELAY)
UNKNOWN_MECHANISM = Err(b"unknown mechanism")
EXCHANGE_FAILED = Err(b"that answer breaks the mechanism's rules")

LANGUAGES = b"languages"
LANGUAGE_CHANGED = {
    "en": Ok(b"en English from now on"),
    "de": Ok(b"de ab jetzt Deutsch"),
}
UNKNOWN_LANGUAGE = Err(b"unknown language")
UTF8_ON = Ok(b"UTF-8 from now on")
UTF8_UNCHANGED = Ok(b"nothing changes after login")
UTF8_NOT_OFFERED = Err(b"UTF8 is not offered")
UTF8_NEEDED = Err(b"this message needs UTF8 before login", ResponseCode.UTF8)

SESSIONS_TAKEN = Err(b"too many sessions of this account", ResponseCode.IN_USE)
MAILDROP_BUSY = Err(b"another session has this maildrop", ResponseCode.IN_USE)
MAILDROP_UNAVAILABLE = Err(b"cannot open the maildrop now, try again later", ResponseCode.SYS_TEMP)

NO_SUCH_MESSAGE = Err(b"no such message")
MESSAGE_DELETED = Err(b"that message is marked as deleted")
MESSAGE_GONE = Err(b"that message is gone")
MESSAGE_UNREADABLE = Err(b"cannot read that message now", ResponseCode.SYS_TEMP)
MAY_NOT_DELETE = Err(b"this password may not delete", ResponseCode.SYS_PERM)
MARKED = Ok(b"marked as deleted")
TOP_FOLLOWS = Ok(b"the top follows")
UNMARKED = Ok(b"no message is marked as deleted")
NOTHING_DONE = Ok(b"done")
NOT_ALL_REMOVED = Err(b"some marked messages were not removed", ResponseCode.SYS_TEMP)
"""After QUIT the rest is gone; those that stayed are there at the next login."""
