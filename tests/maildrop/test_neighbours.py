"""Sessions beside other programs that really deliver, rename and delete at the same time."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mailkeep.maildrop import Maildrop, MaildropBusy, MessageGone
from mailkeep.testing.maildir_site import MaildirSite
from mailkeep.testing.store_contract import uidls_of, whole
from mailkeep.values import Index

ROUNDS = 300

NEIGHBOUR = """
import os, sys
cur, new, rounds = f"{sys.argv[1]}/cur", f"{sys.argv[1]}/new", int(sys.argv[2])
flags = ["", "S", "RS", "FS"]
print("ready", flush=True)
for i in range(rounds):
    for name in sorted(os.listdir(cur)):          # flag everything
        base = name.partition(":")[0]
        try:
            os.rename(f"{cur}/{name}", f"{cur}/{base}:2,{flags[i % 4]}")
        except FileNotFoundError:
            pass
    for name in os.listdir(new):                  # see what is new
        try:
            os.rename(f"{new}/{name}", f"{cur}/{name}:2,")
        except FileNotFoundError:
            pass
    base = f"{2000000000 + i}.{'delete' if i % 3 else 'mine'}"
    with open(f"{sys.argv[1]}/tmp/{base}", "w") as message:
        message.write(base + "\\n")
    os.rename(f"{sys.argv[1]}/tmp/{base}", f"{new}/{base}")
    if i % 3 == 1:                                # delete one
        for name in os.listdir(cur):
            if "delete" in name:
                os.unlink(f"{cur}/{name}")
                break
"""


@pytest.fixture
def neighbour(site: MaildirSite) -> Iterator[subprocess.Popen[bytes]]:
    """A process at work in the Maildir, which ends by itself after its rounds."""
    for i in range(20):
        site.put(f"{1000000000 + i}.keep", b"%d.keep\n" % (1000000000 + i))
    command = [sys.executable, "-c", NEIGHBOUR, str(site.maildir), str(ROUNDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


async def read_what_is_there(maildrop: Maildrop) -> None:
    """Every message is itself, or gone; never another, never half."""
    for place, uidl in enumerate(uidls_of(maildrop)):
        try:
            text = await whole(maildrop, place)
        except MessageGone:
            assert not uidl.endswith(b".keep")
        else:
            assert text == uidl + b"\r\n"
            assert len(text) == maildrop.listing.octets(Index(place))


async def test_sessions_are_right_while_a_neighbour_is_at_work(
    site: MaildirSite, neighbour: subprocess.Popen[bytes]
) -> None:
    """RFC 1939 sections 4 to 6: snapshots in order, messages whole, only our own removed by us."""
    ours: set[bytes] = set()
    sessions = 0
    while neighbour.poll() is None or sessions < 2:
        maildrop = await site.open()
        with pytest.raises(MaildropBusy):
            await site.open()
        uidls = uidls_of(maildrop)
        assert uidls == sorted(set(uidls))
        assert [uidl for uidl in uidls if uidl.endswith(b".keep")] == [
            b"%d.keep" % (1000000000 + i) for i in range(20)
        ]
        assert not ours & set(uidls)
        await read_what_is_there(maildrop)
        removal = await maildrop.commit([uidl for uidl in uidls if uidl.endswith(b".mine")])
        assert (removal.gone, removal.failed) == ((), ())
        assert not ours & set(removal.removed)
        ours |= set(removal.removed)
        await maildrop.close()
        sessions += 1
    assert neighbour.returncode == 0
    maildrop = await site.open()
    left = {uidl for uidl in uidls_of(maildrop) if uidl.endswith(b".mine")}
    assert len(ours | left) == len(ours) + len(left) == ROUNDS // 3
    await maildrop.close()
