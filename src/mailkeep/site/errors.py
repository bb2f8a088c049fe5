"""What can be wrong with a site, in words for its operator: one line, and what to do next."""


class SiteError(Exception):
    """The site cannot be used as it is.

    Attributes:
        hint: the next step, if one is known.
    """

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


class NoSite(SiteError):
    """There is no site where one was looked for."""


class WrongUser(SiteError):
    """The site belongs to another system user."""


class SettingsError(SiteError):
    """`mailkeep.toml` cannot be used; the text names the file, the line and the place."""


class InvalidSetting(ValueError):
    """One value is wrong; whoever knows the file turns it into a `SettingsError`.

    Attributes:
        key: the key inside the table that was being read, when the table is at fault.
        hint: the next step, if one is known.
    """

    def __init__(self, text: str, *, key: str = "", hint: str | None = None) -> None:
        super().__init__(text)
        self.key = key
        self.hint = hint
