"""What Thunderbird and Outlook say, played against a served site: every octet of the answers.

The dialogues are in `tests/recorded`; programs that run here are tested as they are, in the files
beside this one.
"""

from itertools import count
from pathlib import Path

import pytest
from tests.conversations.hosts import MaildirHost
from tests.conversations.player import Player, WrongAnswer
from tests.conversations.script import Conversation, parse_conversation, read_conversation
from tests.harness.site import RunningSite

RECORDED = Path(__file__).parents[1] / "recorded"
DIALOGUES = [read_conversation(path) for path in sorted(RECORDED.glob("*.txt"))]
PLAYED = [
    (dialogue, over)
    for dialogue in DIALOGUES
    for over in ("tls", "stls")
    if dialogue.only_over in {None, over}
]

_accounts = (f"recorded{number}" for number in count(1))


def _play(dialogue: Conversation, over: str, site: RunningSite) -> None:
    Player(dialogue, MaildirHost(site), over=over, account=next(_accounts)).play()


@pytest.mark.parametrize(("dialogue", "over"), PLAYED, ids=str)
def test_a_recorded_dialogue_is_answered(
    dialogue: Conversation, over: str, served: RunningSite
) -> None:
    """Real programs get what they wait for, in the order and the form in which they ask."""
    _play(dialogue, over, served)


def test_both_programs_are_there() -> None:
    """A folder that lost its files would pass."""
    names = {dialogue.name for dialogue in DIALOGUES}
    assert {"outlook", "thunderbird"} <= names


def test_a_wrong_answer_is_found(served: RunningSite) -> None:
    """The judge can find against the server."""
    lines = ["= connect", "C: UTF8", "S: +OK {...}", "C: QUIT", "S: +OK {...}", "= closed"]
    with pytest.raises(WrongAnswer):
        _play(parse_conversation("wrong", lines), "tls", served)
