"""What `mailkeep doctor` says about the door's memory, the files it reads and whom it asks."""

import hashlib
import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from mmdb_writer import MMDBWriter
from tests.cli.conftest import WRONG, Run, findings

OAUTH = '[oauth]\nissuer = "https://id.example.com"\naudience = "mail"\n'


def append(site: Path, text: str) -> None:
    with (site / "mailkeep.toml").open("a") as settings:
        settings.write(text)


def level_of(mailkeep: Run, site: Path, check: str, told: str = "") -> str | None:
    """Return how bad a finding is, whose text or hint must have what is to be told."""
    finding = findings(mailkeep, site)[check]
    assert told in f"{finding['text']} {finding['hint']}"
    return finding["level"]


def test_the_memory_of_the_door(mailkeep: Run, site: Path) -> None:
    """There after a ban; damaged it keeps `serve` from starting."""
    assert "door" not in findings(mailkeep, site)
    mailkeep("--site", site, "ban", "add", "192.0.2.7")
    assert level_of(mailkeep, site, "door", "1 ban in force") == "ok"
    (site / "door.db").write_bytes(b"no database" * 1000)
    assert level_of(mailkeep, site, "door", "restore it from a backup") == WRONG


def test_the_file_of_bans(mailkeep: Run, site: Path, tmp_path: Path) -> None:
    """It is replaced, which takes a folder that can be written."""
    append(site, f'[door]\nbans_file = "{tmp_path}/run/bans"\n')
    assert level_of(mailkeep, site, "bans file", f"install -d -o USER {tmp_path}/run") == WRONG
    (tmp_path / "run").mkdir()
    assert level_of(mailkeep, site, "bans file") == "ok"
    (tmp_path / "run" / "bans").mkdir()
    assert level_of(mailkeep, site, "bans file", "is a folder") == WRONG


def hashes(*, in_order: bool) -> str:
    digests = [hashlib.sha1(b"%d" % n, usedforsecurity=False).hexdigest() for n in range(2000)]
    return "".join(f"{digest.upper()}:3\n" for digest in (sorted(digests) if in_order else digests))


@pytest.mark.parametrize(
    ("content", "level", "told"),
    [
        (None, WRONG, "cannot be read"),
        ("", WRONG, "is empty"),
        ("one password\nanother\n", "ok", "can be searched"),
        (hashes(in_order=True), "ok", "can be searched"),
        (hashes(in_order=False), WRONG, "sort"),
        ("8846F7EAEE8FB117AD06BDD830B7586C:3\n", WRONG, "SHA-1"),
    ],
    ids=["missing", "empty", "plain", "sorted", "unsorted", "ntlm"],
)
def test_a_list_of_breached_passwords(
    mailkeep: Run, site: Path, content: str | None, level: str, told: str
) -> None:
    """One that cannot be searched keeps every new password from being taken."""
    append(site, '[login]\nbreached_passwords = "breached"\n')
    if content is not None:
        (site / "breached").write_text(content)
    assert level_of(mailkeep, site, "breached", told) == level


def test_a_file_of_places(mailkeep: Run, site: Path) -> None:
    """A MaxMind database, the operator's own."""
    append(site, '[door]\nplaces = "places.mmdb"\n')
    assert level_of(mailkeep, site, "places", "MaxMind") == WRONG
    (site / "places.mmdb").write_bytes(b"no database")
    assert level_of(mailkeep, site, "places", "places.mmdb") == WRONG
    MMDBWriter(4, "Test").to_db_file(str(site / "places.mmdb"))
    assert level_of(mailkeep, site, "places") == "ok"


@pytest.mark.parametrize(
    ("url", "level", "told"),
    [
        ("http://127.0.0.1:8084/", "ok", "asked about each login"),
        ("http://[::1]:8084/?x=1", "ok", "asked about each login"),
        ("http://localhost:8084/", "ok", "asked about each login"),
        ("https://policy.example.com/", "ok", "asked about each login"),
        ("http://policy.example.com/", "note", "in the clear"),
    ],
)
def test_the_url_of_a_policy_server(
    mailkeep: Run, site: Path, url: str, level: str, told: str
) -> None:
    """Only what is written is judged: nobody is asked."""
    append(site, f'[door]\npolicy_server = "{url}"\n')
    assert level_of(mailkeep, site, "policy", told) == level


def test_the_key_of_a_policy_server(mailkeep: Run, site: Path) -> None:
    """Without it `serve` does not start; it is not shown."""
    append(site, '[door]\npolicy_server = "http://127.0.0.1/"\npolicy_server_key = "key"\n')
    assert level_of(mailkeep, site, "policy", f"{site}/key cannot be read") == WRONG
    (site / "key").write_text("very secret")
    assert level_of(mailkeep, site, "policy") == "ok"
    assert "very secret" not in mailkeep("--site", site, "doctor").out


def key_set() -> str:
    return json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})


@pytest.mark.parametrize(
    ("content", "level", "told"),
    [
        (None, WRONG, "cannot be read"),
        ("no JSON", WRONG, "no JWK set"),
        ('{"keys": []}', WRONG, "no key that can check a signature"),
        ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', WRONG, "no key that can check"),
        (key_set(), "ok", "keys.json"),
    ],
    ids=["missing", "garbage", "empty", "shared secret", "good"],
)
def test_a_file_of_keys_for_tokens(
    mailkeep: Run, site: Path, content: str | None, level: str, told: str
) -> None:
    """A set that nobody's signature can be checked with lets nobody in."""
    append(site, OAUTH + 'keys = "keys.json"\n')
    if content is not None:
        (site / "keys.json").write_text(content)
    assert level_of(mailkeep, site, "tokens", told) == level


@pytest.mark.parametrize(
    ("text", "level", "told"),
    [
        ('keys = "https://id.example.com/keys"\n', "ok", "https://id.example.com/keys"),
        ('introspection = "https://id.example.com/ask"\n', "ok", "https://id.example.com/ask"),
        (
            'keys = "https://id.example.com/keys"\nalgorithms = ["RS257"]\n',
            WRONG,
            "RS257 cannot be checked",
        ),
        (
            'introspection = "https://id.example.com/ask"\nclient_secret_file = "none"\n',
            WRONG,
            "none cannot be read",
        ),
    ],
)
def test_who_is_asked_about_tokens(
    mailkeep: Run, site: Path, text: str, level: str, told: str
) -> None:
    """Only what is written is judged: nobody is asked."""
    append(site, OAUTH + text)
    assert level_of(mailkeep, site, "tokens", told) == level
