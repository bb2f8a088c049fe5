"""Fuzz one target, or each in turn: `python -m fuzz TARGET [--runs N] [--corpus FOLDER]`.

`TARGET` is a name of `fuzz.targets.TARGETS`, or `all`. Without `--runs` a target runs until it
finds something or is interrupted. With `--corpus` what reached new code is kept there, a folder a
target, and is where the next run starts. A find is written to `crash-…` in the folder where this
was started; `python -m fuzz TARGET --again crash-…` runs it once, without a fuzzer.

It needs `atheris`, which has wheels for Linux only.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

LONGEST_OCTETS = 4096
"""Longer inputs find nothing here: every limit but one is below, and the one is a count."""


def main() -> int:
    """Read the command line and do what it says; return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz one target, or all.")
    parser.add_argument("target")
    parser.add_argument("--runs", type=int, default=-1, help="inputs to try; endless unless given")
    parser.add_argument("--corpus", type=Path, help="a folder that remembers inputs")
    parser.add_argument("--again", type=Path, help="an input to run once")
    said = parser.parse_args()
    if said.target == "all":
        return fuzz_all(said.runs, said.corpus)
    if said.again:
        from fuzz.targets import TARGETS

        TARGETS[said.target](said.again.read_bytes())
        return 0
    fuzz(said.target, said.runs, said.corpus)
    return 0


def fuzz_all(runs: int, corpus: Path | None) -> int:
    """Fuzz each target in a process of its own, because a fuzzer ends its process."""
    from fuzz.targets import TARGETS

    kept = [] if corpus is None else ["--corpus", str(corpus)]
    for target in TARGETS:
        print(f"fuzzing {target}", flush=True)  # a program's own words
        arguments = [sys.executable, "-m", "fuzz", target, "--runs", str(runs), *kept]
        if code := subprocess.run(arguments, check=False).returncode:  # noqa: S603  # ourselves
            return code
    return 0


def fuzz(target: str, runs: int, corpus: Path | None) -> None:
    """Fuzz a target; ends the process when it has run so often, or found something."""
    import atheris  # type: ignore[import-untyped]  # it has no types

    with atheris.instrument_imports(include=["mailkeep"]):
        from fuzz.seeds import SEEDS
        from fuzz.targets import TARGETS

    with tempfile.TemporaryDirectory() as seeds:
        for place, seed in enumerate(SEEDS[target]):
            (Path(seeds) / str(place)).write_bytes(seed)
        folders = [seeds]
        if corpus is not None:
            folders = [str(corpus / target), seeds]
            (corpus / target).mkdir(parents=True, exist_ok=True)
        limits = [f"-runs={runs}", f"-max_len={LONGEST_OCTETS}", "-print_final_stats=0"]
        atheris.Setup([sys.argv[0], *limits, *folders], TARGETS[target])
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
