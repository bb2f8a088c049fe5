"""Records as lines for other programs: ECS or OCSF, one JSON object each."""

import enum
import json

from mailkeep.events.ecs import to_ecs
from mailkeep.events.ocsf import Source, to_ocsf
from mailkeep.events.records import Record


class Format(enum.Enum):
    """What the other program understands."""

    ECS = "ecs"
    OCSF = "ocsf"


def export_line(record: Record, form: Format, source: Source) -> str:
    """Return a record as one line of ASCII, without its end."""
    if form is Format.ECS:
        document = to_ecs(record, host=source.host, version=source.version)
    else:
        document = to_ocsf(record, source)
    return json.dumps(document, separators=(",", ":"))
