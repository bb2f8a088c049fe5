"""The mail of the demonstration: one function for each kind of message that people get.

Each returns a whole message as octets, some of them with what makes servers stumble: lines of dots,
bare LF beside CRLF, no newline at the end, octets that are no UTF-8. All people and firms are
invented (RFC 2606 names). It must not know where the messages go.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

_UNIX = SMTP.clone(linesep="\n")
"""As an MTA hands mail to a mailbox on Unix: lines end with LF."""

PHOTO_OCTETS = 2_300_000
"""In base64 a little over 3 MB, what a telephone's camera makes."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What every message needs to know."""

    to: str
    date: datetime
    number: int

    def new(self, sender: str, subject: str) -> EmailMessage:
        """Return a message with its usual headers and no body."""
        message = EmailMessage(policy=_UNIX)
        domain = sender.rpartition("@")[2].rstrip(">")
        received = format_datetime(self.date)
        message["Return-Path"] = f"<{sender.rpartition('<')[2].rstrip('>')}>"
        message["Received"] = f"from {domain} by mx.example.org with ESMTPS; {received}"
        message["Date"] = received
        message["From"] = sender
        message["To"] = self.to
        message["Subject"] = subject
        message["Message-ID"] = f"<{self.number}.{self.date:%Y%m%d%H%M}@{domain}>"
        return message


def plain(envelope: Envelope) -> bytes:
    """Plain ASCII, format=flowed left out."""
    message = envelope.new("Mailkeep <postmaster@example.org>", "Welcome")
    message.set_content(
        "Hello,\n\nthis maildrop is served over POP3S and, beside it, over POP3 with STLS.\n"
        "What you read here stays until you delete it and say goodbye properly.\n\n"
        "-- \nYour postmaster\n",
        charset="us-ascii",
    )
    return bytes(message)


def utf8(envelope: Envelope) -> bytes:
    """UTF-8 in the subject (RFC 2047) and eight-bit in the body."""
    message = envelope.new("Jürg Müller <juerg@example.com>", "Grüße aus Zürich ☀")
    message.set_content(
        "Liebe Alice,\n\nhier scheint die Sonne, der See ist schon 21 °C warm,\n"
        "und für Käsefondue ist es eigentlich zu heiß. „Eigentlich“!\n\nHerzlich\nJürg 🧀\n",
        cte="8bit",
    )
    return bytes(message)


def quoted_printable(envelope: Envelope) -> bytes:
    """Quoted-printable, with soft line breaks."""
    message = envelope.new("La Boulangerie <lettre@boulangerie.example>", "À la carte cet été")
    message.set_content(
        "Chère cliente, cher client,\n\n"
        "notre pain de campagne au levain naturel est de retour, cuit chaque matin à cinq heures"
        " dans le vieux four à bois de la rue des Écoles ; 100 % de blé français = 100 % goût.\n\n"
        "À très bientôt !\n",
        cte="quoted-printable",
    )
    return bytes(message)


def japanese(envelope: Envelope) -> bytes:
    """ISO-2022-JP: seven bits and escape sequences."""
    message = envelope.new("Sato Hanako <hanako@example.jp>", "会議の件")
    message.set_content(
        "アリス様\n\n来週の会議は火曜日の十時からです。\nよろしくお願いします。\n\n佐藤\n",
        charset="iso-2022-jp",
    )
    return bytes(message)


def eight_bit(envelope: Envelope) -> bytes:
    """Raw Latin-1 octets that no header announces, from a program of the last century."""
    message = envelope.new("Lagerverwaltung <lager@example.net>", "Bestand")
    body = "Artikel 4711: 3 Stück Schläuche für Ölkühler, à 12,50\n".encode("latin-1")
    return bytes(message).rstrip(b"\n") + b"\n\n" + body


def dot_lines(envelope: Envelope) -> bytes:
    """Lines that are or begin with dots, in the header's shadow and at the end."""
    message = envelope.new("Build <build@example.net>", "ed script for release 1.4")
    return bytes(message).rstrip(b"\n") + (
        b"\n\n.\n..\n...\n.profile is read first, .netrc never\n"
        b"$ ed CHANGES <<EOF\na\nFixed: a lone dot no longer ends the message\n.\nw\nq\nEOF\n.\n"
    )


def html_alternative(envelope: Envelope) -> bytes:
    """A text and its HTML, one message (RFC 2046 section 5.1.4)."""
    message = envelope.new("Bicycle Shop <orders@bicycles.example>", "Your order 20417 is packed")
    message.set_content("Your order 20417 is packed.\n\n1 x Pump  EUR 24.90\n1 x Bell  EUR 9.50\n")
    message.add_alternative(
        "<html><body><h1>Your order is packed</h1><table><tr><td>Pump</td><td>&euro; 24.90</td>"
        "</tr><tr><td>Bell</td><td>&euro; 9.50</td></tr></table></body></html>\n",
        subtype="html",
    )
    return bytes(message)


def attachments(envelope: Envelope) -> bytes:
    """A PDF and a spreadsheet's text, one with a name beyond ASCII (RFC 2231)."""
    message = envelope.new("Accounts <accounts@supplier.example>", "Invoice 2291 and price list")
    message.set_content("Please find attached our invoice and the new prices.\n")
    message.add_attachment(_PDF, maintype="application", subtype="pdf", filename="invoice-2291.pdf")
    prices = "article;price\npump;24,90\nbell;9,50\n"
    message.add_attachment(prices, subtype="csv", filename="Preisliste für Händler.csv")
    return bytes(message)


def photo(envelope: Envelope) -> bytes:
    """An attachment of 3 MB."""
    message = envelope.new("Bob <bob@example.org>", "The mountain, as promised")
    message.set_content("Seen from the hut at six in the morning.\n")
    picture = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + hashlib.shake_128(b"a mountain").digest(
        PHOTO_OCTETS
    )
    message.add_attachment(picture, maintype="image", subtype="jpeg", filename="IMG_0412.jpg")
    return bytes(message)


def long_lines(envelope: Envelope) -> bytes:
    """Lines far over the 998 octets of RFC 5322 section 2.1.1, as programs write them."""
    message = envelope.new("Monitoring <alerts@monitoring.example>", "[OK] disk space on db2")
    samples = ",".join(f'{{"t":{second},"free_gib":{400 - second // 60}}}' for second in range(900))
    body = f'The alarm is over. The samples:\n\n{{"host":"db2","samples":[{samples}]}}\n'
    return bytes(message).rstrip(b"\n") + b"\n\n" + body.encode()


def empty_body(envelope: Envelope) -> bytes:
    """Everything is in the subject; nothing comes behind the header."""
    message = envelope.new("Bob <bob@example.org>", "Running ten minutes late, order me a coffee")
    return bytes(message)


def no_final_newline(envelope: Envelope) -> bytes:
    """The last line has no end: a scanner that knows no better."""
    message = envelope.new("Scanner, 2nd floor <scanner@example.org>", "Scan_0007")
    return bytes(message).rstrip(b"\n") + b"\n\n1 page, 300 dpi, sent by SCAN-2F"


def mixed_line_ends(envelope: Envelope) -> bytes:
    """CRLF, bare LF and a lone CR in one message: three programs have been at it."""
    message = envelope.new("Legacy gateway <x400@gateway.example>", "Fwd: Re: AW: delivery note")
    head = bytes(message).rstrip(b"\n").replace(b"\n", b"\r\n")
    return (
        head + b"\r\n\r\nThis line ends with CRLF.\r\nThis one with LF.\n"
        b"12 %\r25 %\r100 % done\nand the last with CRLF again.\r\n"
    )


def invitation(envelope: Envelope) -> bytes:
    """A meeting (RFC 5545)."""
    message = envelope.new("Carol <carol@example.com>", "Invitation: review on Thursday")
    message.set_content("Carol invites you to: review, Thursday, 14:00 to 15:00.\n")
    start = envelope.date + timedelta(days=3)
    message.add_alternative(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example//Calendar//EN\nMETHOD:REQUEST\n"
        f"BEGIN:VEVENT\nUID:review-{envelope.number}@example.com\n"
        f"DTSTAMP:{envelope.date:%Y%m%dT%H%M%SZ}\nDTSTART:{start:%Y%m%dT140000Z}\n"
        f"DTEND:{start:%Y%m%dT150000Z}\nSUMMARY:Review\nEND:VEVENT\nEND:VCALENDAR\n",
        subtype="calendar",
        params={"method": "REQUEST"},
    )
    return bytes(message)


def mailing_list(envelope: Envelope) -> bytes:
    """A list's headers, long and folded (RFC 2369, RFC 6376)."""
    message = envelope.new("Dave <dave@example.net>", "[pop-users] Re: leaving mail on the server")
    message["List-Id"] = "People who still like POP3 <pop-users.lists.example>"
    message["List-Unsubscribe"] = "<https://lists.example/pop-users/leave>"
    message["References"] = " ".join(f"<{n}.thread@lists.example>" for n in range(1, 13))
    message["DKIM-Signature"] = (
        "v=1; a=rsa-sha256; c=relaxed/relaxed; d=lists.example; s=a; h=from:to:subject:date; bh="
        + "x" * 43
        + "=; b="
        + " ".join(["y" * 64] * 5)
    )
    message.set_content("> Does UIDL change when I leave mail on the server?\n\nNo. Never.\n")
    return bytes(message)


def bounce(envelope: Envelope) -> bytes:
    """A message that did not arrive comes back (RFC 3464)."""
    message = envelope.new("Mail Delivery System <mailer-daemon@mx.example.org>", "Undelivered")
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = 'multipart/report; report-type=delivery-status; boundary="=_report"'
    return bytes(message).rstrip(b"\n") + _REPORT


KINDS: tuple[Callable[[Envelope], bytes], ...] = (
    plain,
    utf8,
    quoted_printable,
    japanese,
    eight_bit,
    dot_lines,
    html_alternative,
    attachments,
    photo,
    long_lines,
    empty_body,
    no_final_newline,
    mixed_line_ends,
    invitation,
    mailing_list,
    bounce,
)


def generate_mail(to: str, *, until: datetime) -> Iterator[bytes]:
    """Yield one message of each kind.

    Args:
        to: an address.
        until: aware; the last message is from shortly before, the first from some days earlier.
    """
    for number, kind in enumerate(KINDS, start=1):
        date = until - timedelta(hours=7 * (len(KINDS) - number), minutes=11)
        yield kind(Envelope(to, date, number))


_REPORT = b"""

--=_report

Your message to eve@nowhere.example could not be delivered: the domain
does not accept mail.

--=_report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; eve@nowhere.example
Action: failed
Status: 5.1.10

--=_report--
"""

_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>\
>>>>endobj
4 0 obj<</Length 52>>stream
BT /F 18 Tf 40 120 Td (Invoice 2291: EUR 34.40) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""
