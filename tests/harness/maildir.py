"""Mail laid into a Maildir by somebody else's hand: what another program's delivery looks like.

Sources: D. J. Bernstein, maildir(5); the size fields are Dovecot's.
"""

from pathlib import Path

FIRST_TIME = 1_700_000_000


def make_maildir(folder: Path) -> Path:
    """Make an empty Maildir and return it."""
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    return folder


def lay(maildir: Path, message: bytes, place: int, *, cur: bool = False, fields: str = "") -> Path:
    """Put a message into a Maildir as its own file and return it.

    Args:
        maildir: where.
        message: as it is stored.
        place: the later the higher; each name once.
        cur: seen by another program already; else new.
        fields: what the name says of sizes, such as `,S=10,W=12`.
    """
    base = f"{FIRST_TIME + place}.M{place}P1.neighbour{fields}"
    draft = maildir / "tmp" / base
    draft.write_bytes(message)
    return draft.rename(maildir / "cur" / f"{base}:2,S" if cur else maildir / "new" / base)


def find(maildir: Path, base: str) -> Path:
    """Return where the message with this base name is now."""
    (found,) = (path for part in ("new", "cur") for path in (maildir / part).glob(f"{base}*"))
    return found
