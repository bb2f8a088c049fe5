"""Every fuzz target: its seeds, any octets, a short run of the fuzzer, and that it can fail."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS, Find, fuzz_proxy_header, fuzz_server_side
from hypothesis import given, settings
from hypothesis import strategies as st

from mailkeep.pop3 import server_side
from mailkeep.server.proxy_header import ProxyHeader, ProxyHeaderReader

CHECKOUT = Path(__file__).parents[2]
RUNS = 2000


def test_every_target_has_seeds() -> None:
    """A fuzzer that must invent a handshake finds nothing behind it."""
    assert set(SEEDS) == set(TARGETS)
    assert all(SEEDS.values())


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_no_finds(target: str) -> None:
    """They are where a fuzzer starts."""
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"torn_tls"}))
def test_any_octets_are_no_finds(target: str) -> None:
    """Whatever comes, only what is said to be raised is raised."""

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=400) | st.sampled_from(SEEDS[target]).flatmap(_mutations))
    def try_octets(octets: bytes) -> None:
        TARGETS[target](octets)

    try_octets()


def _mutations(seed: bytes) -> st.SearchStrategy[bytes]:
    places = st.integers(0, len(seed))
    return st.builds(
        lambda place, new, gone: seed[:place] + new + seed[place + gone :],
        places,
        st.binary(max_size=8),
        st.integers(0, 8),
    )


def test_a_session_that_reads_on_after_its_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets can fail: here a session that obeys what stands behind QUIT."""
    monkeypatch.setattr(server_side, "phase_after", lambda phase, kind, *, ok: phase)  # noqa: ARG005
    with pytest.raises(Find):
        fuzz_server_side(b"\0\0\0\0QUIT\r\nQUIT\r\n")


def test_a_header_that_swallows_an_octet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets can fail: here the client's first octet is lost when it comes by itself."""
    honest = ProxyHeaderReader.feed

    def forget(reader: ProxyHeaderReader, octets: bytes) -> ProxyHeader | None:
        header = honest(reader, octets)
        return header and ProxyHeader(header.client, header.rest[1:])

    monkeypatch.setattr(ProxyHeaderReader, "feed", forget)
    with pytest.raises(Find):
        fuzz_proxy_header(SEEDS["proxy_header"][0])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel here")
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_of_the_fuzzer_finds_nothing(target: str, tmp_path: Path) -> None:
    """The fuzzer works, and 2,000 inputs that are led by what they reach are no finds."""
    runs = RUNS // 10 if target == "torn_tls" else RUNS
    done = subprocess.run(
        (sys.executable, "-m", "fuzz", target, "--runs", str(runs)),
        cwd=tmp_path,
        env={"PYTHONPATH": os.pathsep.join(map(str, (CHECKOUT, CHECKOUT / "src")))},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    assert not [*tmp_path.iterdir()]
