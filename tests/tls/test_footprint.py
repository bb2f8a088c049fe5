"""What an idle connection costs, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

IDLE_LIMIT_KIB = 20
SILENT_LIMIT_KIB = 2

PROGRAM = """
import gc, resource, ssl, sys
from pathlib import Path
from mailkeep.tls import TlsChannel, server_context
from tests.tls.peer import MemoryClient, carry

folder = Path(sys.argv[1])
server = server_context(folder / "server.pem", folder / "server.key", ssl.TLSVersion.TLSv1_2)
client = ssl.create_default_context(cafile=folder / "ca.pem")

def resident_kib():
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])

def established():
    peer, channel = MemoryClient(client), TlsChannel(server)
    carry(peer, channel)
    peer.tls.write(b"USER alice\\r\\n" * 2000)
    carry(peer, channel)
    channel.send(b"+OK\\r\\n")
    return channel

def cost_kib(make, number):
    keep = [make() for _ in range(50)]
    before = resident_kib()
    keep += [make() for _ in range(number)]
    return (resident_kib() - before) / number

print(cost_kib(lambda: TlsChannel(server), 4000), cost_kib(established, 1000))
"""


def test_an_idle_connection_is_small(folder: Path) -> None:
    """A stranger who says nothing costs next to nothing; a session 20 KiB, whatever it sent."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={"PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'src'}"},
    )
    silent, idle = map(float, result.stdout.split())
    assert silent <= SILENT_LIMIT_KIB
    assert idle <= IDLE_LIMIT_KIB


def test_a_connection_needs_nothing_heavy() -> None:
    """What reads certificates (`cryptography`) is imported where it is needed."""
    program = "import sys, mailkeep.tls; sys.exit('cryptography' in sys.modules)"
    environment = {"PYTHONPATH": str(Path.cwd() / "src")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
