"""The entries of `.fetchmailrc` (fetchmail(1), "THE RUN CONTROL FILE").

What comes out are servers, users and options by their usual names; what an option means for a
fetch is not known here. No text of a word is ever in an error: it may be a password.

Known limit: server options are also taken among user options.
"""

from dataclasses import dataclass, field

from mailkeep.fetch.failures import WrongSettings
from mailkeep.fetch.importing.fetchmail_words import (
    FLAGS,
    GLOBAL_FLAGS,
    GLOBAL_TEXTS,
    LISTS,
    NEGATABLE,
    TEXTS,
    Word,
    split_words,
)

Option = str | bool | tuple[str, ...]


@dataclass(slots=True)
class UserEntry:
    """One remote user of a server; the name is empty where it is that of who runs fetchmail."""

    line: int
    name: str = ""
    local_names: tuple[str, ...] = ()
    options: dict[str, Option] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class ServerEntry:
    """A `poll`, a `skip`, or `defaults`."""

    name: str
    line: int
    is_active: bool
    options: dict[str, Option] = field(default_factory=dict)
    users: list[UserEntry] = field(default_factory=list)


@dataclass(slots=True)
class RunControl:
    """A whole file; `defaults` are not yet filled in."""

    options: dict[str, Option] = field(default_factory=dict)
    defaults: ServerEntry | None = None
    servers: list[ServerEntry] = field(default_factory=list)


def parse_run_control(text: str, where: str) -> RunControl:
    """Return what a `.fetchmailrc` says.

    Raises:
        WrongSettings: it is none; with `where` and the line, and nothing of the line.
    """
    return _Parser(list(split_words(text)), where).parse()


class _Parser:
    """Goes through the words once; each method takes what belongs to it."""

    def __init__(self, words: list[Word], where: str) -> None:
        self._words = words
        self._where = where
        self._at = 0
        self._found = RunControl()
        self._server: ServerEntry | None = None

    def parse(self) -> RunControl:
        """Return the whole file."""
        while self._peek() is not None:
            keyword = self._keyword()
            if keyword == "set":
                self._take_global()
            elif keyword in {"poll", "skip", "defaults"}:
                self._begin_server(keyword)
            elif self._server is None:
                raise self._wrong()
            elif keyword == "user":
                self._begin_user(self._server)
            else:
                self._take_option(self._server, keyword)
        return self._found

    def _take_global(self) -> None:
        is_on = not self._skip("no")
        keyword = self._keyword()
        if keyword in GLOBAL_FLAGS:
            self._found.options[keyword] = is_on
        elif keyword in GLOBAL_TEXTS:
            self._skip("=")
            self._found.options[keyword] = self._value()
        else:
            raise self._wrong()

    def _begin_server(self, keyword: str) -> None:
        line = self._line()
        if keyword == "defaults":
            self._server = self._found.defaults = ServerEntry("", line, is_active=True)
            return
        self._server = ServerEntry(self._value(), line, is_active=keyword == "poll")
        self._found.servers.append(self._server)

    def _begin_user(self, server: ServerEntry) -> None:
        user = UserEntry(self._line())
        names = self._names()
        if self._skip("here"):
            user.local_names = names
        else:
            self._skip("there")
            user.name = names[0]
        server.users.append(user)

    def _take_option(self, server: ServerEntry, keyword: str) -> None:
        user = server.users[-1] if server.users else None
        if keyword in {"is", "to"}:
            self._take_names(user or self._unnamed(server))
            return
        options = user.options if user else server.options
        if user:
            user.lines[keyword] = self._line()
        if keyword == "no":
            keyword = self._keyword()
            if keyword not in NEGATABLE:
                raise self._wrong()
            options[keyword] = False
        elif keyword in FLAGS:
            options[keyword] = True
        elif keyword in LISTS:
            options[keyword] = self._list()
        elif keyword in TEXTS:
            options[keyword] = self._value()
        elif keyword == "envelope":
            first = self._value()
            options[keyword] = self._value() if first.isdigit() else first
        else:
            raise self._wrong()

    def _unnamed(self, server: ServerEntry) -> UserEntry:
        server.users.append(UserEntry(self._line()))
        return server.users[-1]

    def _take_names(self, user: UserEntry) -> None:
        names = self._names()
        if self._skip("there"):
            user.name = names[0]
        else:
            self._skip("here")
            user.local_names += names

    def _names(self) -> tuple[str, ...]:
        names = [self._value()]
        while True:
            if self._skip("="):
                names[-1] += f"={self._value()}"
            elif (word := self._peek()) and not word.is_keyword:
                names.append(self._value())
            else:
                return tuple(names)

    def _list(self) -> tuple[str, ...]:
        values = [self._value()]
        while (word := self._peek()) and not word.is_keyword:
            values.append(self._value())
        return tuple(values)

    def _peek(self) -> Word | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _skip(self, keyword: str) -> bool:
        word = self._peek()
        is_there = word is not None and word.is_keyword and word.text == keyword
        self._at += is_there
        return is_there

    def _keyword(self) -> str:
        word = self._peek()
        if word is None or not word.is_keyword:
            raise self._wrong(0)
        self._at += 1
        return word.text

    def _value(self) -> str:
        word = self._peek()
        if word is None or word.is_keyword:
            raise self._wrong(0)
        self._at += 1
        return word.text

    def _line(self) -> int:
        return self._words[self._at - 1].line

    def _wrong(self, back: int = 1) -> WrongSettings:
        at = min(self._at - back, len(self._words) - 1)
        return WrongSettings(f"{self._where}:{self._words[at].line}: fetchmail has no such syntax")
