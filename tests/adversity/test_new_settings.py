"""What a running site does with settings that changed."""

from pathlib import Path

import pytest
from tests.server.parts import Recorder, full_store, make_meeting

from mailkeep.cli.init import make_site
from mailkeep.events import EventType
from mailkeep.server import Control, RunningSite, ServingHere, SiteCertificate, open_listeners
from mailkeep.server.control import Notice
from mailkeep.site import read_site

SETTINGS = """\
hostname = "mail.example.com"
[[listen]]
service = "pop3"
address = "127.0.0.1:0"
"""


async def _ignore(notice: Notice) -> None:
    del notice


@pytest.mark.parametrize(
    ("changed", "is_all"),
    [
        (SETTINGS, True),
        (SETTINGS + "[limits]\nidle_s = 700\n", True),
        (SETTINGS + '[tls]\nminimum = "TLSv1.3"\n', True),
        (SETTINGS + "[limits]\npassword_memory_s = 0\n", False),
        (SETTINGS + "[limits]\npassword_checks_waiting = 7\n", False),
        (SETTINGS + "[limits]\nrefusal_ms = 100\n", True),
        (SETTINGS + "[limits]\nlogin_delay_s = 60\n", False),
        (SETTINGS + "[serve]\nworkers = 3\n", False),
        (SETTINGS + '[login]\nmain_password = "devices_only"\n', False),
        (SETTINGS + '[door]\nallow = ["10.0.0.0/8"]\n', False),
        (SETTINGS + '[log]\nstyle = "json"\n', False),
        (SETTINGS + '[[listen]]\nservice = "metrics"\naddress = "127.0.0.1:0"\n', False),
        (SETTINGS + '[maildrops]\npath = "other/{domain}/{local}"\n', False),
        ('default_domain = "example.com"\n' + SETTINGS, False),
        (SETTINGS.replace("127.0.0.1:0", "127.0.0.1:1"), False),
        (SETTINGS + '[[listen]]\nservice = "pop3"\naddress = "127.0.0.1:2"\n', False),
    ],
)
async def test_what_takes_a_restart_is_said_at_each_reload(
    tmp_path: Path, changed: str, *, is_all: bool
) -> None:
    """An operator who is told "loaded" believes that the change is in force."""
    folder = tmp_path / "site"
    make_site(folder, SETTINGS)
    site, sink = read_site(folder), Recorder()
    listeners = open_listeners(site.settings.listen)
    certificate = SiteCertificate(site, sink)
    meeting = make_meeting(full_store(), sink=sink)
    serving = ServingHere(listeners, meeting, sink)
    control = Control(site.control, _ignore)
    running = RunningSite(site, serving, certificate, sink, control=control)
    site.settings_file.write_text(changed)
    for _ in range(2):
        await running._reload()
    hints = [fields.get("hint") for fields in sink.of(EventType.SETTINGS_LOADED)]
    assert [hint is None for hint in hints] == [is_all, is_all]
    listeners[0].socket.close()
