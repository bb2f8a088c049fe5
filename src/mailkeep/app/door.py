"""Putting the door of a site together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mailkeep.accounts.hashing import hashing_threads
from mailkeep.database.engine import Database
from mailkeep.defence.door import Door
from mailkeep.defence.keeping import DoorKeeper
from mailkeep.defence.places import Places
from mailkeep.defence.policy_server import HttpPolicyServer
from mailkeep.defence.rules import NOBODY, DoorRules, OddAnswer
from mailkeep.defence.store import DoorStore
from mailkeep.defence.strangers import places_for_strangers
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.site import DoorSettings, PolicyServerFails, Settings, Site
from mailkeep.values import Secret


@dataclass(frozen=True, slots=True)
class KeptDoor:
    """A door, and who writes down what it learns."""

    door: Door
    keeper: DoorKeeper

    async def close(self) -> None:
        """Write down what is left."""
        await self.keeper.close()
        await self.door.close()


def make_door(site: Site, database: Database, sink: EventSink) -> KeptDoor:
    """Return the door of a site with what it remembers; must be called in a running event loop.

    Raises:
        DatabaseUnavailable: its memory cannot be read.
        OSError, ValueError: the policy server's key cannot be read, or its URL is none.
    """
    chosen = site.settings.door
    places = Places(site.folder / chosen.places) if chosen.places else None
    door = Door(
        _rules(site.settings),
        remembered=DoorStore(database).load(),
        places=places,
        policy_server=_policy_server(site.folder, chosen),
        strangers_at_a_time=places_for_strangers(hashing_threads()),
        tell=lambda reason: sink.emit(events.PolicyServerFailed(reason=reason)),
    )
    keeper = DoorKeeper(
        door,
        database,
        bans_file=site.folder / chosen.bans_file if chosen.bans_file else None,
        places=places,
        tell=_teller(sink),
    )
    return KeptDoor(door, keeper)


def _rules(settings: Settings) -> DoorRules:
    chosen = settings.door
    return DoorRules(
        allow=chosen.allow if len(chosen.allow) else NOBODY,
        new_country=OddAnswer(chosen.new_country.value),
        fast_travel=OddAnswer(chosen.fast_travel.value),
        login_delay_s=settings.limits.login_delay_s,
        policy_fails_closed=chosen.policy_server_fails is PolicyServerFails.CLOSED,
    )


def _policy_server(folder: Path, chosen: DoorSettings) -> HttpPolicyServer | None:
    if not chosen.policy_server:
        return None
    key = None
    if chosen.policy_server_key is not None:
        key = Secret((folder / chosen.policy_server_key).read_bytes().strip())
    return HttpPolicyServer(chosen.policy_server, key=key)


def _teller(sink: EventSink) -> Callable[[str], None]:
    return lambda reason: sink.emit(events.DoorFailed(reason=reason))
