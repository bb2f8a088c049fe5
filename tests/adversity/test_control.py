"""The control socket: what is changed beside a running server is in force when the command ends."""

import asyncio
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from mailkeep.server.control import (
    NOTICE_LIMIT_OCTETS,
    Control,
    Notice,
    UnknownNotice,
    send_notice,
)


class Heard:
    """Remembers notices; one that says `unknown` is not understood."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    async def take(self, notice: Notice) -> None:
        if notice.get("notice") == "unknown":
            raise UnknownNotice("nobody knows that")
        self.notices.append(notice)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def test_a_notice_is_in_force_when_sending_returns(path: Path) -> None:
    """`device revoke` must not say that it has revoked before it has."""
    heard = Heard()
    control = Control(path, heard.take)
    await control.start()
    notice = {"notice": "accounts", "account": 7}
    assert await asyncio.to_thread(send_notice, path, notice)
    assert heard.notices == [notice]
    control.close()


async def test_without_a_server_nobody_is_told(path: Path) -> None:
    """The change is in the database; the next start reads it."""
    assert not send_notice(path, {"notice": "bans"})
    control = Control(path, Heard().take)
    await control.start()
    control.close()
    assert not path.exists()
    assert not send_notice(path, {"notice": "bans"})


async def test_a_socket_that_a_killed_server_left_is_replaced(path: Path) -> None:
    """SIGKILL leaves the file; it must not keep the next server from starting."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert not send_notice(path, {"notice": "bans"})
    heard = Heard()
    control = Control(path, heard.take)
    await control.start()
    assert await asyncio.to_thread(send_notice, path, {"notice": "bans"})
    control.close()


async def test_only_the_sites_user_may_send(path: Path) -> None:
    """Mode 0600 (unix(7): connecting needs write permission)."""
    control = Control(path, Heard().take)
    await control.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    control.close()


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[1]\n",
        b'{"notice": "unknown"}\n',
        b'{"notice": ' + b"[" * 3000 + b"\n",
        b"\xff\xfe\n",
    ],
)
async def test_what_is_no_notice_is_refused_and_changes_nothing(path: Path, line: bytes) -> None:
    """A bad line costs one answer; the next one is served."""
    heard = Heard()
    control = Control(path, heard.take)
    await control.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    answer = json.loads(await reader.readline())
    assert answer["done"] is False
    assert heard.notices == []
    assert await asyncio.to_thread(send_notice, path, {"notice": "bans"})
    writer.close()
    control.close()


async def test_a_line_without_end_is_cut_off(path: Path) -> None:
    """Memory that a notice costs is bounded."""
    control = Control(path, Heard().take)
    await control.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * (NOTICE_LIMIT_OCTETS * 4))
    assert await reader.read() == b""
    writer.close()
    control.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux' /proc")
async def test_a_site_may_lie_deep_in_the_file_system(tmp_path: Path) -> None:
    """A socket's address has 108 octets (unix(7)); a site's path may have more."""
    folder = tmp_path.joinpath(*(f"a-folder-with-a-long-name-{number}" for number in range(6)))
    path = folder / "run" / "control.sock"
    assert len(os.fsencode(path)) > 108
    heard = Heard()
    control = Control(path, heard.take)
    await control.start()
    assert await asyncio.to_thread(send_notice, path, {"notice": "bans"})
    assert heard.notices
    control.close()
