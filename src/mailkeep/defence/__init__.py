"""Whom to slow down, refuse or ban: pure deciders and the counters behind them."""

from mailkeep.defence.seam import (
    Attempt,
    Ban,
    Consequences,
    DoorUnavailable,
    Let,
    LoginDoor,
    Place,
    Success,
    Turned,
    Turning,
    Welcome,
)

__all__ = [
    "Attempt",
    "Ban",
    "Consequences",
    "DoorUnavailable",
    "Let",
    "LoginDoor",
    "Place",
    "Success",
    "Turned",
    "Turning",
    "Welcome",
]
