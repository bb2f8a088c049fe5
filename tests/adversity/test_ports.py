"""Listening sockets: what cannot be had is said in one line with a hint; what is inherited fits."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mailkeep.server import CannotListen, inherit_sockets, open_listeners
from mailkeep.site import Endpoint, Listen, Service

ROOT = Path(__file__).parents[2]


def _listen(host: str, port: int, service: Service = Service.POP3) -> Listen:
    return Listen(service=service, address=Endpoint(host, port))


def _close(*listeners: object) -> None:
    for listener in listeners:
        listener.socket.close()  # type: ignore[attr-defined]  # a Listener


def test_a_port_that_is_taken_is_named_with_who_to_ask() -> None:
    """bind(2), EADDRINUSE: the port, and how to find the other program."""
    [first] = open_listeners([_listen("127.0.0.1", 0)])
    port = first.endpoint.port
    with pytest.raises(CannotListen, match=rf"pop3 127\.0\.0\.1:{port}: Address already") as taken:
        open_listeners([_listen("127.0.0.1", port)])
    assert f"sport = :{port}" in taken.value.hint
    _close(first)


def test_what_was_opened_before_a_port_that_is_taken_is_closed_again() -> None:
    """A server that cannot begin leaves nothing behind; ResourceWarning would tell."""
    [first] = open_listeners([_listen("127.0.0.1", 0)])
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        free = reserved.getsockname()[1]
    with pytest.raises(CannotListen):
        open_listeners([_listen("127.0.0.1", free), _listen("127.0.0.1", first.endpoint.port)])
    _close(*open_listeners([_listen("127.0.0.1", free)]))
    _close(first)


def test_an_address_of_another_machine_is_said() -> None:
    """bind(2), EADDRNOTAVAIL."""
    with pytest.raises(CannotListen, match=r"pop3 192\.0\.2\.1:0") as other:
        open_listeners([_listen("192.0.2.1", 0)])
    assert "no such address" in other.value.hint


_PRIVILEGED = """
import os, sys
from mailkeep.server import CannotListen, open_listeners
from mailkeep.site import Endpoint, Listen, Service
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    open_listeners([Listen(service=Service.POP3S, address=Endpoint("127.0.0.1", 995))])
except CannotListen as problem:
    print(problem, "|", problem.hint)
"""


def test_a_privileged_port_is_refused_with_a_way_out() -> None:
    """bind(2), EACCES: systemd has such ports to give."""
    floor = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if floor <= 995:
        pytest.skip("this kernel lets everybody have port 995")
    said = _python(_PRIVILEGED)
    assert said.startswith("cannot listen on pop3s 127.0.0.1:995: Permission denied |")
    assert "systemd" in said


_INHERITING = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in os.environ["HANDED"].split()]
for place, copy in enumerate(copies):
    os.dup2(copy, 3 + place)
    os.close(copy)
from mailkeep.server import CannotListen, inherit_sockets, open_listeners
from mailkeep.site import Endpoint, Listen, Service
os.environ["LISTEN_PID"] = str(os.getpid())
listens = [
    Listen(service=Service(word.split("=")[0]), address=Endpoint.parse(word.split("=")[1]))
    for word in sys.argv[1:]
]
try:
    listeners = open_listeners(listens, inherit_sockets(os.environ))
except CannotListen as problem:
    print(problem, "|", problem.hint)
else:
    for listener in listeners:
        fd = listener.socket.fileno()
        print(listener, "inherited" if fd < 3 + len(copies) else "bound", os.get_inheritable(fd))
"""


def _python(
    code: str, *arguments: str, inherited: tuple[socket.socket, ...] = (), names: str = ""
) -> str:
    """Run code as systemd starts a service: its sockets are descriptors 3 and up."""
    descriptors = [one.fileno() for one in inherited]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HANDED": " ".join(map(str, descriptors)),
        "LISTEN_FDS": str(len(inherited)),
        "LISTEN_FDNAMES": names,
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        pass_fds=descriptors,
    )
    return done.stdout


def _bound(host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.bind((host, 0))
    made.listen()
    return made


def _at(made: socket.socket) -> str:
    return str(Endpoint(*made.getsockname()[:2]))


def test_inherited_sockets_are_matched_by_name_and_address() -> None:
    """sd_listen_fds_with_names(3); whatever their order, and what is missing is bound."""
    with closing(_bound()) as one, closing(_bound("::1")) as two:
        arguments = f"pop3s={_at(two)}", f"pop3={_at(one)}", "pop3=127.0.0.1:0"
        said = _python(_INHERITING, *arguments, inherited=(one, two), names="pop3:pop3s").split(
            "\n"
        )
        assert said[0] == f"pop3s {_at(two)} inherited False"
        assert said[1] == f"pop3 {_at(one)} inherited False"
        assert said[2].endswith(" bound False")


@pytest.mark.parametrize("names", ["pop3s", "unknown", "", "POP3"])
def test_an_inherited_socket_of_another_name_is_refused(names: str) -> None:
    """A unit that calls 110 `pop3s` would put TLS, or worse no TLS, where nobody expects it."""
    with closing(_bound()) as made:
        said = _python(_INHERITING, f"pop3={_at(made)}", inherited=(made,), names=names)
        assert said.startswith(f"the inherited socket {names}")
        assert f"{_at(made)} is in no [[listen]] |" in said


def test_an_inherited_socket_of_another_address_is_refused() -> None:
    """A unit must not open a port that the settings do not name."""
    with closing(_bound()) as made, closing(_bound()) as other:
        said = _python(_INHERITING, f"pop3={_at(other)}", inherited=(made,), names="pop3")
        assert said.startswith(f"the inherited socket pop3 {_at(made)} is in no [[listen]] |")


def test_sockets_of_another_process_are_not_taken() -> None:
    """sd_listen_fds(3): LISTEN_PID says for whom they are."""
    for pid in ("1", "", "garbage"):
        assert inherit_sockets({"LISTEN_PID": pid, "LISTEN_FDS": "2"}) == []
    assert inherit_sockets({}) == []
