"""Where a user's settings and state are.

Source: XDG Base Directory Specification.
"""

from collections.abc import Mapping
from pathlib import Path


def settings_path(environment: Mapping[str, str]) -> Path:
    """Return where the settings are: `~/.config/mailkeep/fetch.toml`.

    Source: XDG Base Directory Specification.

    Args:
        environment: of the process.
    """
    return _base(environment, "XDG_CONFIG_HOME", ".config") / "mailkeep" / "fetch.toml"


def state_folder(environment: Mapping[str, str], said: Path | None) -> Path:
    """Return the folder for journals, which whoever uses it makes with mode 0700.

    Source: XDG Base Directory Specification.

    Args:
        environment: of the process.
        said: by an option or the settings; else it is `~/.local/state/mailkeep/fetch`.
    """
    if said is not None:
        return said
    return _base(environment, "XDG_STATE_HOME", ".local/state") / "mailkeep" / "fetch"


def _base(environment: Mapping[str, str], variable: str, usual: str) -> Path:
    said = Path(environment.get(variable, ""))
    if said.is_absolute():  # the specification: a relative path is to be ignored
        return said
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / usual
