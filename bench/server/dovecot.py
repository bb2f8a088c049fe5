"""Dovecot as it is measured: as fast as its own documentation makes it.

Where a setting can be had either way, the one that is cheaper for Dovecot is taken; each has its
reason beside it. Everything else is Debian's or Dovecot's default.
"""

import contextlib
import getpass
import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from bench.server.figures import Side
from bench.server.place import Place
from bench.server.running import Server, started
from tests.harness.programs import Port, find_program, free_ports

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/run
protocols = pop3
listen = {host}

# Default level and default format, to a file.
log_path = {folder}/dovecot.log

# The same certificate as everybody; clients speak TLS 1.3 only.
ssl = yes
ssl_cert = <{tls}/server.pem
ssl_key = <{tls}/server.key
ssl_min_protocol = TLSv1.2

# The same Maildirs. What Dovecot remembers about them is kept beside them, so that Mailkeep, which
# looks at the same folders, meets nothing but mail.
mail_location = maildir:~:INDEX={folder}/index/%d/%n:CONTROL={folder}/index/%d/%n
mailbox_list_index = no           # for IMAP clients that list folders; POP3 has one
# Left as they are, because they make no difference here: pop3_no_flag_updates (all mail has been
# read), pop3_fast_size_lookups (sizes are in the names), session tickets, the stats service.

# Everything that makes a login cheap: the documentation's "high-performance mode", every answer
# remembered, nobody delayed, nobody counted.
auth_cache_size = 100 M
auth_cache_ttl = 1 hour
auth_cache_verify_password_with_worker = no
auth_failure_delay = 0
auth_mechanisms = plain
mail_max_userip_connections = 0

passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
# Answers without looking anything up.
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%d/%n allow_all_users=yes
}}

# Room for five thousand sessions.
default_client_limit = 15000
default_vsz_limit = 4 G

default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
first_valid_uid = 1
first_valid_gid = 1

service anvil {{
  chroot =
  client_limit = 19000
  unix_listener anvil-auth-penalty {{
    mode = 0                      # no penalty
  }}
}}
service auth {{
  client_limit = 19000
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
  service_count = 0               # one process for all logins and all TLS ("high-performance mode")
  process_min_avail = 1           # as many as there are cores for the server
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service pop3 {{
  service_count = 100             # a process serves so many sessions, one after the other; with the
                                  # default of 1 a login costs three times as much
  process_limit = 6000
}}
{more}
"""


@contextlib.contextmanager
def running_dovecot(
    place: Place, *, starttls: Port | None = None, more: str = ""
) -> Iterator[Server]:
    """Run Dovecot for as long as the caller needs it; what it knew about maildrops it knows again.

    Args:
        place: the run's.
        starttls: where it speaks POP3 with STLS too.
        more: settings that replace those above, to find out what is cheaper.
    """
    pop3s, pop3 = free_ports(2)
    configuration = place.dovecot / "dovecot.conf"
    configuration.write_text(_configuration(place, pop3s, starttls or pop3, more))
    log = place.folder / "dovecot.log"
    command = (find_program("dovecot"), "-F", "-c", configuration)
    written = place.dovecot / "dovecot.log"
    written.write_text("")
    with started(command, log, lambda _: "starting up for" in written.read_text()) as pid:
        yield Server(Side.RIVAL, pid, pop3s.number, written, place.ca)


def _configuration(place: Place, pop3s: Port, pop3: Port, more: str) -> str:
    owner = pwd.getpwnam(place.user or getpass.getuser())
    is_root = os.geteuid() == 0
    host = pop3s.host if pop3.host == pop3s.host else f"{pop3s.host}, {pop3.host}"
    return CONFIGURATION.format(
        folder=place.dovecot,
        tls=place.tls,
        host=host,
        uid=owner.pw_uid,
        gid=owner.pw_gid,
        login_user="dovenull" if is_root else owner.pw_name,
        internal_user="dovecot" if is_root else owner.pw_name,
        internal_group="dovecot" if is_root else grp.getgrgid(owner.pw_gid).gr_name,
        pop3=pop3.number,
        pop3s=pop3s.number,
        more=more,
    )


def index_of(place: Place, address: str) -> Path:
    """Return where Dovecot remembers what it knows about an account's maildrop."""
    local, _, domain = address.partition("@")
    return place.dovecot / "index" / domain / local
