"""How a room says where the history of its tables is."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Schema:
    """Where a room's tables come from.

    Attributes:
        versions: the folder with the migrations, as alembic's `version_locations` has them.
        head: the last of them, so that most starts need not read the folder; a test holds it
            against the folder.
    """

    versions: Path
    head: str
