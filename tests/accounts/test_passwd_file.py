"""A passwd-file of Dovecot is read by lines; what is wrong names its line and nothing secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.accounts.passwd_file import Entry, Problem, read_passwd_file
from mailkeep.values import Address

HERE = "mail.example.com"
SSHA = "{SSHA}4axBAluZUAtxWcfo881A1o02jDF3qlKh"
BCRYPT = "$2y$05$puZ0Hk.NaaM5zWQEqJBMcuwg7XHw7eSaI9k0hPsgkjBH/ROsyD1k."
REST = ":1000:1000:Alice Jones:/home/alice:/bin/false:"


def read(*lines: str) -> list[Entry | Problem]:
    return read_passwd_file(lines, HERE)


def only(line: str) -> Entry | Problem:
    (found,) = read(line)
    return found


def test_a_whole_file() -> None:
    """Comments and empty lines are no accounts; the numbers are those of the lines."""
    found = read(
        "\ufeff# users of example.com\n",
        "\n",
        f"alice:{SSHA}{REST}\n",
        "   \n",
        f"bob@example.org:{SSHA}\r\n",
        f"carol:{SSHA}::::::userdb_quota_rule=*:bytes=300M userdb_mail=maildir:~/Maildir\n",
    )
    assert found == [
        Entry(3, Address("alice", HERE), SSHA),
        Entry(5, Address("bob", "example.org"), SSHA),
        Entry(6, Address("carol", HERE), SSHA),
    ]


def test_names_are_prepared() -> None:
    """Upper case makes no other account, and a domain that is missing is the site's."""
    found = only(f"Alice@Example.ORG:{SSHA}")
    assert isinstance(found, Entry)
    assert str(found.address) == "alice@example.org"


@pytest.mark.parametrize("again", ["alice", "ALICE", f"alice@{HERE}", f"Alice@{HERE.upper()}"])
def test_the_first_line_of_an_account_is_taken_and_the_second_told(again: str) -> None:
    """Which of two passwords is the right one, nobody can know; the operator is asked."""
    first, second = read(f"alice:{SSHA}", f"{again}:{SSHA}")
    assert isinstance(first, Entry)
    assert isinstance(second, Problem)
    assert (second.line, second.address) == (2, first.address)
    assert "line 1" in second.reason


def test_a_line_that_cannot_be_used_takes_no_place() -> None:
    """A usable line for the same account may follow."""
    bad, good = read("alice:{PLAIN}x", f"alice:{SSHA}")
    assert isinstance(bad, Problem)
    assert isinstance(good, Entry)


def test_a_hash_without_a_scheme_has_the_default_one() -> None:
    """Dovecot's is CRYPT unless it is told another one."""
    found = only(f"alice:{BCRYPT}")
    assert isinstance(found, Entry)
    assert found.kept == "{BLF-CRYPT}" + BCRYPT
    (other,) = read_passwd_file([f"alice:{SSHA[6:]}"], HERE, default_scheme="SSHA")
    assert isinstance(other, Entry)
    assert other.kept == SSHA


@pytest.mark.parametrize(
    ("extra", "notes"),
    [
        ("allow_nets=10.0.0.0/8,2001:db8::/32", ["allow_nets=10.0.0.0/8,2001:db8::/32"]),
        ("allow_nets=hunter2", ["allow_nets"]),
        ("proxy=y host=192.0.2.1 pass=hunter2", ["proxy", "host"]),
        ("userdb_mail=x nodelay=y", []),
    ],
)
def test_what_is_not_taken_over_is_noted(extra: str, notes: list[str]) -> None:
    """An operator who restricted an account must hear that it is not restricted any more."""
    found = only(f"alice:{SSHA}{REST}{extra}")
    assert isinstance(found, Entry)
    assert [note.partition(" ")[0] for note in found.notes] == notes
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hunter2", "no colon"),
        (":hunter2", "no account"),
        ("a/../b:hunter2", "no account"),
        ("a b:hunter2", "no account"),
        ("al\0ice:hunter2", "no account"),
        ("\udcff:hunter2", "no account"),
        ("alice:", "no password"),
        ("alice:::::::", "no password"),
        ("alice:!", "no password"),
        ("alice:x:1000", "no password"),
        ("alice:{PLAIN}hunter2", "the password itself"),
        ("alice:{SHA}hunter2", "too easily"),
        ("alice:{hunter2}abc", "not known"),
        ("alice:hunter2", "DES or MD5"),
        ("alice:hunter2[13]", "DES or MD5"),
        (f"alice:{REST}nopassword", "nopassword"),
        (f"alice:{SSHA}{REST}nopassword=y", "nopassword"),
        (f"alice:{SSHA}{REST}nologin reason=hunter2", "nologin"),
        ("alice:" + "hunter2" * 20_000, "longer than"),
    ],
)
def test_a_problem_names_line_and_reason_and_nothing_secret(line: str, reason: str) -> None:
    """Such a list is shown on a terminal and mailed around."""
    _, found = read("# first", "bob:" + SSHA, line)[-2:]
    assert isinstance(found, Problem)
    assert found.line == 3
    assert reason in found.reason
    assert found.hint
    assert "hunter2" not in repr(found)


def test_an_entry_does_not_show_its_hash() -> None:
    """A hash can be guessed from."""
    assert SSHA[6:] not in repr(only(f"alice:{SSHA}"))


@given(st.lists(st.text(st.characters(codec=None), max_size=40)))
def test_anything_is_read(lines: list[str]) -> None:
    """Each line gives at most one result, in their order."""
    numbers = [found.line for found in read_passwd_file(lines, HERE)]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= len(lines) for number in numbers)
