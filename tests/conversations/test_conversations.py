"""Every conversation of this folder, against every store, over TLS and over STLS, and Dovecot."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.conversations.hosts import DovecotHost, MaildirHost, MemoryHost
from tests.conversations.player import Host, Player
from tests.conversations.script import Conversation, read_conversation
from tests.harness.dovecot import running_dovecot
from tests.harness.memory import running_memory_server
from tests.harness.programs import open_folder
from tests.harness.site import PASSWORD, RunningSite

FOLDER = Path(__file__).parent
CONVERSATIONS = [read_conversation(path) for path in sorted(FOLDER.glob("*.txt"))]

_accounts = (f"account{number}" for number in count(1))


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_memory_server(tmp_path_factory.mktemp("memory") / "tls", PASSWORD) as server:
        yield MemoryHost(server)


@pytest.fixture(scope="module")
def maildir(served: RunningSite) -> Host:
    return MaildirHost(served)


@pytest.fixture(scope="module")
def dovecot(served: RunningSite) -> Iterator[Host]:
    with open_folder() as folder:
        maildirs = folder / "mail"
        pattern = f"{maildirs}/%n"
        tls = served.folder / "tls"
        with running_dovecot(folder, tls=tls, maildirs=pattern, password=PASSWORD) as running:
            yield DovecotHost(running, maildirs, served.ca)


PLAYED = [
    (conversation, over)
    for conversation in CONVERSATIONS
    for over in ("tls", "stls")
    if conversation.only_over in {None, over}
]
BY_DOVECOT = [(played, over) for played, over in PLAYED if not played.not_for_dovecot]


def _play(conversation: Conversation, host: Host, over: str) -> None:
    Player(conversation, host, over=over, account=next(_accounts)).play()


@pytest.mark.parametrize(("conversation", "over"), PLAYED, ids=str)
def test_memory(conversation: Conversation, over: str, memory: Host) -> None:
    """Our server with the memory store says every octet that the conversation says."""
    _play(conversation, memory, over)


@pytest.mark.parametrize(("conversation", "over"), PLAYED, ids=str)
def test_maildir(conversation: Conversation, over: str, maildir: Host) -> None:
    """A served site with Maildirs says every octet that the conversation says."""
    _play(conversation, maildir, over)


@pytest.mark.parametrize(("conversation", "over"), BY_DOVECOT, ids=str)
def test_dovecot(conversation: Conversation, over: str, dovecot: Host) -> None:
    """Another server answers with the same status and as many lines: nothing is invented."""
    _play(conversation, dovecot, over)
