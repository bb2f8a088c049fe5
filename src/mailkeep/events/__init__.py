"""What happened: the list of event types and who is told. Where events go is picked by `app` alone.

The events themselves are many: `from mailkeep.events import types` and say `types.LoginAccepted`.
"""

from mailkeep.events.run_types import RunSink, Who
from mailkeep.events.types import Event, EventSink, EventType

__all__ = ["Event", "EventSink", "EventType", "RunSink", "Who"]
