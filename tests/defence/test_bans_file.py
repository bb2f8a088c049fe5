"""The file of bans, and that the programs it is for understand it."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from mailkeep.defence.bans_file import BansFile, bans_text, write_bans_file
from mailkeep.defence.remembered import BanRow


def row(prefix: str, until_s: float | None = None) -> BanRow:
    return BanRow(prefix, until_s, "test", 1, "door")


ROWS = [row("203.0.113.9/32"), row("2001:db8::/64"), row("10.0.0.0/8"), row("198.51.100.7/32")]


def test_a_network_a_line_sorted() -> None:
    """Both families; nothing else is in it."""
    expected = "10.0.0.0/8\n198.51.100.7/32\n2001:db8::/64\n203.0.113.9/32\n"
    assert bans_text(ROWS) == expected


def test_bans_that_are_over_are_not_in_it(tmp_path: Path) -> None:
    """Written again when one ends, and not when nothing has changed."""
    file = BansFile(tmp_path / "bans")
    file.keep([row("10.0.0.0/8", 100)], 99)
    assert file.path.read_text() == "10.0.0.0/8\n"
    before = file.path.stat()
    file.keep([row("10.0.0.0/8", 100)], 99.5)
    assert file.path.stat() == before
    file.keep([row("10.0.0.0/8", 100)], 100)
    assert file.path.read_text() == ""


def test_it_is_replaced_whole_and_may_be_read_by_others(tmp_path: Path) -> None:
    """A reader has the old one or the new one; no remains lie about."""
    path = tmp_path / "bans"
    write_bans_file(path, "old\n")
    with path.open() as reader:
        write_bans_file(path, "new\n")
        assert reader.read() == "old\n"
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """And is tried again."""
    path = tmp_path / "bans"
    path.mkdir()
    file = BansFile(path)
    for _ in range(2):
        with pytest.raises(OSError, match="bans"):
            file.keep(ROWS, 0)
    assert list(tmp_path.iterdir()) == [path]


def run(*command: str, given: str) -> None:
    """Run a program in a network of its own."""
    isolated = ["unshare", "--user", "--map-root-user", "--net", *command]
    done = subprocess.run(isolated, input=given, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace: {done.stderr}")
    assert done.returncode == 0, done.stderr


def lines(path: Path, *, is_ipv6: bool) -> list[str]:
    return [it for it in path.read_text().splitlines() if (":" in it) == is_ipv6]


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft")
def test_nftables_takes_it(tmp_path: Path) -> None:
    """As elements of two sets."""
    path = tmp_path / "bans"
    write_bans_file(path, bans_text(ROWS))
    sets = "".join(
        f"add set inet mail {name} {{ type {kind}; flags interval; }}\n"
        f"add element inet mail {name} {{ {', '.join(lines(path, is_ipv6=is_ipv6))} }}\n"
        for name, kind, is_ipv6 in [("four", "ipv4_addr", False), ("six", "ipv6_addr", True)]
    )
    run("nft", "-c", "-f", "-", given="add table inet mail\n" + sets)


@pytest.mark.skipif(shutil.which("ipset") is None, reason="needs ipset")
def test_ipset_takes_it(tmp_path: Path) -> None:
    """As entries of two sets."""
    path = tmp_path / "bans"
    write_bans_file(path, bans_text(ROWS))
    made = "create four hash:net family inet\ncreate six hash:net family inet6\n"
    added = "".join(
        f"add {name} {prefix}\n"
        for name, is_ipv6 in [("four", False), ("six", True)]
        for prefix in lines(path, is_ipv6=is_ipv6)
    )
    run("ipset", "restore", given=made + added)
