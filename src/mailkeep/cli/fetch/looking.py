"""`mailkeep fetch list|status|login|probe`: what is there, without taking anything."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailkeep.cli.failure import ExitCode
from mailkeep.cli.fetch.amounts import format_count
from mailkeep.cli.fetch.arguments import argument, group, switch
from mailkeep.cli.fetch.options import AccountOptions, LookOptions
from mailkeep.cli.talk import printable, say, show, show_json, show_table

if TYPE_CHECKING:
    from mailkeep.fetch.job import Job
    from mailkeep.fetch.looking import Looked, Probed


def list_messages(options: LookOptions) -> int:
    """List the messages on the server, and which of them are here."""
    rows = [
        (job.account.name, number, uidl.decode("ascii", "backslashreplace"), octets, state)
        for job, looked in _look(options)
        for number, uidl, octets, state in zip(
            looked.listing.numbers,
            looked.listing.uidls or (),
            looked.listing.octets,
            looked.states,
            strict=True,
        )
    ]
    if options.json:
        names = ("account", "number", "uidl", "octets", "state")
        show_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        shown = [(a, n, "?" if o is None else o, s, u) for a, n, u, o, s in rows]
        show_table(("ACCOUNT", "NUMBER", "OCTETS", "STATE", "UIDL"), shown)
    return ExitCode.DONE


def status(options: LookOptions) -> int:
    """Count what is only here, only there, and in both places."""
    counts = []
    for job, looked in _look(options):
        stored = sum(state in {"stored", "deleting"} for state in looked.states)
        counts.append(
            {
                "account": job.account.name,
                "both": stored,
                "only_here": looked.only_here,
                "only_there": len(looked.states) - stored,
                "suspect": looked.suspect,
                "quarantined": looked.quarantined,
            }
        )
    if options.json:
        show_json(counts)
    else:
        headings = ("ACCOUNT", "BOTH", "ONLY HERE", "ONLY THERE", "SUSPECT", "QUARANTINED")
        show_table(headings, [tuple(row.values()) for row in counts])
    return ExitCode.DONE


def login(options: LookOptions) -> int:
    """Log in and out: is the password right?"""
    from mailkeep.cli.fetch.choosing import choose_logins
    from mailkeep.cli.fetch.running import run_to_end
    from mailkeep.fetch.looking import try_login

    found = []
    for job, folder, source in choose_logins(options.targets, options.account):
        trying = try_login(job.account, folder, source, accept_change=options.account.accept_change)
        mechanism, messages, octets = run_to_end(trying)
        found.append(
            {
                "account": job.account.name,
                "mechanism": mechanism,
                "messages": messages,
                "octets": octets,
            }
        )
        if not options.json:
            count = format_count(messages, "message")
            say(f"{printable(job.account.name)}: the login works ({mechanism}); {count}")
    if options.json:
        show_json(found)
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """All of `mailkeep fetch probe`."""

    host: str = argument("host", "HOST", "mail.example.com, or pop3s://mail.example.com:995.")
    json: bool = switch("--json", "Print JSON.")
    account: AccountOptions = group(AccountOptions, "the connection")


def probe(options: ProbeOptions) -> int:
    """Show what a server offers to anybody: TLS, certificate, capabilities; without a login."""
    from mailkeep.cli.fetch.running import run_to_end, told
    from mailkeep.fetch.account import parse_url
    from mailkeep.fetch.looking import probe as probe_server

    scheme, separator, rest = options.host.rpartition("://")
    url = f"{scheme if separator else 'pop3s'}://{rest if '@' in rest else f'nobody@{rest}'}"
    with told():
        wanted = options.account.apply(parse_url(url))
    described = _describe(run_to_end(probe_server(wanted)))
    if options.json:
        show_json(described)
        return ExitCode.DONE
    for name, value in described.items():
        if isinstance(value, dict):
            for inner, words in value.items():
                show_table_line(f"{_IN_LINES.get(name, name)} {inner}", words)
        else:
            show_table_line(name, value)
    return ExitCode.DONE


_IN_LINES = {"capabilities": "capability"}
"""One a line, for people."""


def show_table_line(name: str, value: object) -> None:
    """Print one thing that was found, a name and what it is."""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    show(f"{printable(name.replace('_', ' ')):<26} {printable(text)}".rstrip())


def _describe(probed: "Probed") -> dict[str, object]:
    found: dict[str, object] = {
        "server": f"{probed.account.host}:{probed.account.port}",
        "tls": probed.tls or "none: everything can be read on the way",
        "trusted": "yes" if probed.tls and not probed.problem else "no",
    }
    if probed.problem:
        found["problem"] = probed.problem
    if probed.certificate is not None:
        from mailkeep.tls import fingerprints
        from mailkeep.tls.description import describe_der

        shown = describe_der(probed.certificate)
        certificate_pin, key_pin = fingerprints(probed.certificate)
        found["certificate"] = {
            "names": list(shown.names_untrusted),
            "subject": shown.subject_untrusted,
            "issuer": shown.issuer_untrusted,
            "not_before": shown.not_before.isoformat(),
            "not_after": shown.not_after.isoformat(),
            "key": shown.key,
            "sha256": certificate_pin.hex(),
            "key_sha256": key_pin.hex(),
        }
    found["capabilities"] = {name: list(words) for name, words in probed.capabilities.items()}
    return found


def _look(options: LookOptions) -> "list[tuple[Job, Looked]]":
    from mailkeep.cli.fetch.choosing import choose_logins
    from mailkeep.cli.fetch.running import run_to_end
    from mailkeep.fetch.looking import look

    found = []
    for job, folder, source in choose_logins(options.targets, options.account):
        looking = look(job.account, folder, source, accept_change=options.account.accept_change)
        found.append((job, run_to_end(looking)))
    return found
