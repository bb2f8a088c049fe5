"""What happened: the list of event types and who is told. The log is picked by `app` alone."""

from mailkeep.events.types import EventSink, EventType

__all__ = ["EventSink", "EventType"]
