"""A site on disk: its folder, its `mailkeep.toml`, its defaults.

It stands on `values` alone, so that `deliver`, which runs once a mail, may use it.
"""

from mailkeep.site.door_settings import Answer, DoorSettings, PolicyServerFails
from mailkeep.site.endpoint import Endpoint, Networks
from mailkeep.site.errors import NoSite, SettingsError, SiteError, WrongUser
from mailkeep.site.folder import (
    SETTINGS_NAME,
    SITE_DEFAULT,
    SITE_VARIABLE,
    Site,
    check_owner,
    find_site,
    read_site,
)
from mailkeep.site.login_settings import Login, MainPassword, Oauth
from mailkeep.site.reading import parse_settings
from mailkeep.site.settings import (
    Limits,
    Listen,
    Log,
    LogStyle,
    Maildrops,
    Serve,
    Service,
    Settings,
    Tls,
    TlsVersion,
)

__all__ = [
    "SETTINGS_NAME",
    "SITE_DEFAULT",
    "SITE_VARIABLE",
    "Answer",
    "DoorSettings",
    "Endpoint",
    "Limits",
    "Listen",
    "Log",
    "LogStyle",
    "Login",
    "Maildrops",
    "MainPassword",
    "Networks",
    "NoSite",
    "Oauth",
    "PolicyServerFails",
    "Serve",
    "Service",
    "Settings",
    "SettingsError",
    "Site",
    "SiteError",
    "Tls",
    "TlsVersion",
    "WrongUser",
    "check_owner",
    "find_site",
    "parse_settings",
    "read_site",
]
