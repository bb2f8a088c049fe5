"""Collections of messages: the project's own hazards, and a folder of real mail if there is one."""

import os
from pathlib import Path

import pytest
from tests.messages import HAZARDS

CORPUS = Path(
    os.environ.get("MAILKEEP_CORPUS", Path(__file__).parents[3].joinpath("shared", "corpus"))
)
"""A folder of messages, one a file; it is no part of the project."""

NAMES = ("hazards", "corpus")


def read_collection(name: str) -> dict[str, bytes]:
    """Return the messages of a collection by what they are called; skip the test without them."""
    if name == "hazards":
        return HAZARDS
    if not CORPUS.is_dir():
        pytest.skip(f"no folder {CORPUS}: set MAILKEEP_CORPUS to a folder of messages")
    return {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.is_file()}
