"""Hashes that Dovecot made let the same passwords in here, and none costs more than it may."""

import base64
import hashlib
import time

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.programs import find_program, run

from mailkeep.accounts.imported import (
    UnusableHash,
    is_imported,
    read_imported,
    scram_keys_of,
    verify_imported,
)
from mailkeep.accounts.passwords import Argon2Passwords, HashUnusable
from mailkeep.sasl.scram import ScramKeys
from mailkeep.values import Secret

TEXT = "pass wörd, 17 & more"
PASSWORD = Secret(TEXT.encode())
WRONG = Secret(b"pass word, 17 & more")
LONG = Secret(b"x" * 4096)

# Made by Dovecot 2.3.19's `doveadm pw -p 'secret pass'`.
VECTORS = (
    (
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$iZ/d/bQ4A7n3bYKHW/PLcw"
        "$bYFW8ykD7KoL3uwr+aD1AZMocoD/aMx5j0rTVKxtdOQ"
    ),
    (
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$m7wwBOKrv0wCoYEUUwTQuQ"
        "$KOc64EjH4xEhnBmiZN8GU1MYL+JYMAW+z9HHJXASdCQ"
    ),
    "{BLF-CRYPT}$2y$05$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1k.",
    "{CRYPT}$2y$05$tFo8.tp2uF3qIeZEg2DY7uXjGwMtIO5Ss1QRq49cU5zBRaqL7DX..",
    "{BLF-CRYPT.B64}JDJ5JDA1JG5Sdm1xeVBuQWpEVDZ4Uy5JS0NFTU94cHRwbFhLbDZiNVg3azZqUjhXQkc5aGpWWjBVdmVT",
    (
        "{SHA512-CRYPT}$6$5PFtzeKbXK.f9BJF$vS0x/.wbgCp5U4s.OgsvyNe1ddkqvAArZGmofxnr.jbRPw8hCURA1F"
        ".MO2mcqnAzx3CemuRdc8U1.vCd9k6fB1"
    ),
    "{crypt}$5$l9CiNcrtSIC.dR.P$13GQdQ.hnDJhhv2cgrlzwEBCD29gXy7jkIrh13Dz19D",
    "{SHA256-CRYPT}$5$l9CiNcrtSIC.dR.P$13GQdQ.hnDJhhv2cgrlzwEBCD29gXy7jkIrh13Dz19D",
    "{PBKDF2}$1$NKh8rqs4mwuQKgoi$5000$84108419716966665b4f8e8b3e4e67da0575349c",
    (
        "{PBKDF2.HEX}24312453364273396e56374965595852792f6924353030302438643865333333646233"
        "653330376131353830613838326437613535656339353066633861316637"
    ),
    (
        "{SCRAM-SHA-256}4096,f3uRUdxg2wO0yrG7CX7HIA==,RgoaoByiTO0zGaIi181Zp0ofgJzxbMcEJ8EDIkflyc0=,"
        "1mEHQDpOP7tExNxDJEpIP7bZFJ8O1nrRBXR1uqsbS4k="
    ),
    "{SSHA}4axBAluZUAtxWcfo881A1o02jDF3qlKh",
    "{SSHA.HEX}b8b75eeab5561d1c8639b1ee633e107c5d7aa7482429d0b5",
    "{SSHA256}iymVyA92fw/KUSn6cp3F14pRwYMVsbELrOmMKLfyut+VbqdB",
    (
        "{SSHA512}sQUqOIuSLNmQMRah97HRv17sz9INYvRszuxkuyqoMagQjY8mtAxBXiY0OsIlfuO2yPaPu2hytBlwI3TqGou"
        "/TwHbUu4="
    ),
)

SCHEMES = (
    "ARGON2ID", "ARGON2I", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "PBKDF2", "SCRAM-SHA-256",
    "SSHA", "SSHA256", "SSHA512", "CRYPT",
)  # fmt: skip

ARGON2 = "{ARGON2ID}$argon2id$v=19$m=%s$" + "A" * 22 + "$" + "A" * 43
SHA512_CRYPT = "{SHA512-CRYPT}$6$%s$" + "a" * 86
SCRAM = "{SCRAM-SHA-256}%s," + base64.b64encode(bytes(32)).decode() + ",%s"


def fits(kept: str, password: Secret) -> bool:
    """Ask whoever checks such a hash in a running server."""
    if is_imported(kept):
        return verify_imported(kept, password)
    return Argon2Passwords().verify(kept, password)


@pytest.mark.parametrize("text", VECTORS)
def test_a_hash_from_dovecot_lets_its_password_in_and_no_other(text: str) -> None:
    """Every scheme and encoding, from a real program."""
    kept = read_imported(text)
    assert fits(kept, Secret(b"secret pass"))
    assert not fits(kept, Secret(b"secret pasT"))
    assert not fits(kept, Secret(b"secret pass "))
    assert not fits(kept, Secret(b"secret pass\0x"))
    assert not fits(kept, Secret(b""))


def test_the_example_of_the_sha_crypt_specification() -> None:
    """U. Drepper, Unix crypt using SHA-256 and SHA-512, 2008: rounds and a salt that is cut."""
    kept = read_imported(
        "{SHA512-CRYPT}$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSn"
        "CM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
    )
    assert verify_imported(kept, Secret(b"Hello world!"))


@pytest.mark.parametrize("suffix", ["", ".HEX", ".b64", ".base64"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_doveadm_makes_is_taken_over(scheme: str, suffix: str) -> None:
    """Whatever the version that is installed, and in each encoding that it writes."""
    made = run((find_program("doveadm"), "pw", "-s", scheme + suffix, "-p", TEXT)).stdout.decode()
    kept = read_imported(made.strip())
    assert fits(kept, PASSWORD)
    assert not fits(kept, WRONG)


def salted(algorithm: str) -> str:
    digest = hashlib.new(algorithm, PASSWORD.reveal() + b"salt").digest()
    return base64.b64encode(digest + b"salt").decode()


def scram() -> str:
    keys = ScramKeys.derive(PASSWORD, b"sixteen octets..", 4096)
    stored_key, server_key = keys.stored_key.reveal(), keys.server_key.reveal()
    parts = (base64.b64encode(part).decode() for part in (keys.salt, stored_key, server_key))
    return f"4096,{','.join(parts)}"


@pytest.mark.parametrize(
    "text",
    [
        "{ARGON2ID}" + Argon2Passwords().hash(PASSWORD),
        "{BLF-CRYPT}" + bcrypt.hashpw(PASSWORD.reveal(), b"$2b$04$abcdefghijklmnopqrstuu").decode(),
        "{SCRAM-SHA-256}" + scram(),
        "{SSHA}" + salted("sha1"),
        "{SSHA256}" + salted("sha256"),
        "{PBKDF2}$1$salt$1000$"
        + hashlib.pbkdf2_hmac("sha1", PASSWORD.reveal(), b"salt", 1000).hex(),
    ],
)
def test_doveadm_agrees_about_hashes_made_elsewhere(text: str) -> None:
    """The other way round: what is kept here is a hash of the same scheme to Dovecot."""
    kept = read_imported(text)
    back = kept if is_imported(kept) else "{ARGON2ID}" + kept
    doveadm = find_program("doveadm")
    assert fits(kept, PASSWORD)
    assert b"verified" in run((doveadm, "pw", "-t", back, "-p", TEXT)).stdout
    wrong = run((doveadm, "pw", "-t", back, "-p", WRONG.reveal().decode()), check=False)
    assert wrong.returncode != 0


def test_argon2id_is_kept_as_the_room_keeps_its_own() -> None:
    """It needs no second way to be checked, and is renewed like any older hash."""
    kept = read_imported(VECTORS[0])
    assert not is_imported(kept)
    assert kept.startswith("$argon2id$")
    assert Argon2Passwords().needs_rehash(kept)


def test_bcrypt_compares_72_octets_as_dovecot_does() -> None:
    """The algorithm takes no more; a longer password would otherwise be locked out by the move."""
    doveadm = find_program("doveadm")
    made = run((doveadm, "pw", "-s", "BLF-CRYPT", "-p", "x" * 72 + "tail")).stdout.decode().strip()
    kept = read_imported(made)
    assert verify_imported(kept, Secret(b"x" * 72 + b"tail"))
    assert verify_imported(kept, Secret(b"x" * 72 + b"another"))
    assert not verify_imported(kept, Secret(b"x" * 71))


def test_scram_keys_are_those_that_were_imported() -> None:
    """A client proves itself against them; salt and count are the account's from then on."""
    keys = scram_keys_of(read_imported("{SCRAM-SHA-256}" + scram()))
    assert keys == ScramKeys.derive(PASSWORD, b"sixteen octets..", 4096)
    assert scram_keys_of(read_imported(VECTORS[5])) is None
    assert scram_keys_of(read_imported(VECTORS[0])) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{PLAIN}hunter2hunter2", "the password itself"),
        ("{cleartext}hunter2hunter2", "the password itself"),
        ("{PLAIN.B64}aHVudGVyMg==", "the password itself"),
        ("{MD5}$1$salt$abcdefghijklmnopqrstu.", "too easily guessed"),
        ("{SHA}hunter2hunter2", "too easily guessed"),
        ("{CRAM-MD5}hunter2hunter2", "too easily guessed"),
        ("{CRYPT}hunter2hunter", "DES or MD5"),
        ("{CRYPT}$1$hunter2$abc", "DES or MD5"),
        ("{CRYPT}$y$j9T$hunter2$abc", "yescrypt"),
        ("{CRYPT}$argon2id$v=19$hunter2", "no argon2"),
        ("{hunter2}abc", "not known"),
        ("{}hunter2", "form"),
        ("hunter2", "form"),
        ("{SSHA} hunter2", "form"),
        ("{SSHA}hünter2", "form"),
        ("", "no password"),
        ("x", "no password"),
        ("!", "no password"),
        ("*LK*", "no password"),
        ("{SSHA}" + "hunter2" * 200, "longer than"),
        ("{SSHA}hunter2!", "not b64"),
        ("{SSHA.HEX}hunter2", "not hex"),
        ("{BLF-CRYPT.B64}hunter2", "not b64"),
        ("{BLF-CRYPT.B64}/////w==", "whole bcrypt"),
        ("{SSHA}" + base64.b64encode(bytes(20)).decode(), "whole salted"),
        ("{SSHA}" + base64.b64encode(bytes(23)).decode(), "whole salted"),
        ("{SSHA}" + base64.b64encode(bytes(100)).decode(), "whole salted"),
        ("{BLF-CRYPT}$2y$05$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1", "whole bcrypt"),
        ("{BLF-CRYPT}$2x$05$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1k.", "whole bcrypt"),
        ("{BLF-CRYPT}$2y$05$puZ0Hk.NaaM5zWQEqJBMc.wg7XHw7eSaI9k0hPsgkjBH/ROsyD1kz", None),
        ("{BLF-CRYPT}$2y$05$puZ0Hk.NaaM5zWQEqJBMcawg7XHw7eSaI9k0hPsgkjBH/ROsyD1k.", "whole bcrypt"),
        ("{BLF-CRYPT}$2y$03$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1k.", "whole bcrypt"),
        ("{BLF-CRYPT}$2y$15$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1k.", "too long"),
        (SHA512_CRYPT % "rounds=700001$salt", "too long"),
        (SHA512_CRYPT % "rounds=999999999$salt", "too long"),
        (SHA512_CRYPT % "rounds=999$salt", "fewer than 1000"),
        (SHA512_CRYPT % "salt:", "whole SHA-crypt"),
        (SHA512_CRYPT % ("s" * 17), "whole SHA-crypt"),
        (SHA512_CRYPT[:-1] % "salt", "whole SHA-crypt"),
        (ARGON2 % "8,t=1,p=1", None),
        (ARGON2 % "262145,t=1,p=1", "too long"),
        (ARGON2 % "4294967295,t=1,p=1", "too long"),
        (ARGON2 % "65536,t=17,p=1", "too long"),
        (ARGON2 % "65536,t=1,p=9", "too long"),
        (ARGON2 % "8,t=1,p=2", "whole argon2"),
        (ARGON2 % "8,t=0,p=1", "whole argon2"),
        ((ARGON2 % "8,t=1,p=1")[:-1] + "B", "whole argon2"),
        ((ARGON2 % "8,t=1,p=1")[:-30], "whole argon2"),
        ((ARGON2 % "8,t=1,p=1").replace("v=19", "v=16"), "whole argon2"),
        ("{ARGON2I}" + (ARGON2 % "8,t=1,p=1").removeprefix("{ARGON2ID}"), "whole argon2"),
        ("{PBKDF2}$1$salt$2000001$" + "0" * 40, "too long"),
        ("{PBKDF2}$1$salt$0$" + "0" * 40, "whole PBKDF2"),
        ("{PBKDF2}$1$salt$5000$" + "0" * 38, "whole PBKDF2"),
        ("{PBKDF2}$1$" + "s" * 65 + "$5000$" + "0" * 40, "whole PBKDF2"),
        (SCRAM % ("2000001,c2FsdA==", "A" * 43 + "="), "too long"),
        (SCRAM % ("4095,c2FsdA==", "A" * 43 + "="), "fewer than 4096"),
        (SCRAM % ("4096,c2FsdA", "A" * 43 + "="), "not b64"),
        (SCRAM % ("4096,c2FsdA==", "A" * 40), "whole SCRAM"),
        (SCRAM % ("4096,c2FsdA==", ""), "whole SCRAM"),
    ],
)
def test_what_cannot_be_used_is_refused_with_reason_and_hint(text: str, reason: str | None) -> None:
    """Found out when it is read: later it would be a login that fails or a thread that is busy."""
    if reason is None:
        assert read_imported(text)
        return
    with pytest.raises(UnusableHash, match=reason) as caught:
        read_imported(text)
    assert caught.value.hint
    assert "hunter2" not in caught.value.reason + caught.value.hint


@pytest.mark.parametrize(
    "kept", ["", "{SSHA}", "{SSHA}AAAA", "{NONE}x", "SSHA}AAAA", VECTORS[0][:40]]
)
def test_a_damaged_hash_is_not_a_wrong_password(kept: str) -> None:
    """Told as a refusal it would make mail programs drop a password that is right."""
    with pytest.raises(HashUnusable):
        verify_imported(kept, PASSWORD)


@pytest.mark.parametrize("scheme", ["SHA256-CRYPT", "SHA512-CRYPT"])
def test_a_very_long_password_costs_no_rounds_of_sha_crypt(scheme: str) -> None:
    """Each round hashes all of it: four thousand octets would take ten times as long."""
    doveadm = find_program("doveadm")
    password = "x" * 511
    made = run((doveadm, "pw", "-s", scheme, "-r", "1000", "-p", password)).stdout.decode()
    kept = read_imported(made.strip())
    assert verify_imported(kept, Secret(password.encode()))
    begun = time.thread_time()
    assert not verify_imported(read_imported(SHA512_CRYPT % "rounds=700000$salt"), LONG)
    assert time.thread_time() - begun < 0.1


@given(
    st.text(max_size=80), st.sampled_from(["", "{SSHA}", "{CRYPT}$6$", "{PBKDF2}$1$", "{X.HEX}"])
)
def test_whatever_is_read_is_kept_or_refused(rest: str, begin: str) -> None:
    """A file from somewhere else may hold anything; only one kind of error comes of it."""
    try:
        kept = read_imported(begin + rest)
    except UnusableHash:
        return
    assert not fits(kept, WRONG)
