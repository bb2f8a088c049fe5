"""`mailkeep.fetch` as a library: what `docs/fetch.md` promises a Python program."""

import re
import subprocess
import sys
from pathlib import Path

from tests.harness.site import PASSWORD, RunningSite, python_path
from tests.messages import naive_wire_form

import mailkeep.fetch

PAGE = (Path(__file__).parents[2] / "docs" / "fetch.md").read_text()
MAIL = (b"Subject: one\n\n.\nHello\n", b"Subject: two\n\nno end")


def test_every_name_is_there() -> None:
    """The names that are listed are looked up where they are at home."""
    for name in mailkeep.fetch.__all__:
        assert getattr(mailkeep.fetch, name).__name__ == name


def test_the_example_of_the_page_fetches_mail(served: RunningSite, tmp_path: Path) -> None:
    """It is run as it stands, with another address and the test's authority."""
    account = served.add_account("library")
    served.deliver(account, *MAIL)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    url = f"pop3s://{account}@localhost:{served.pop3s.number}"
    example = example.replace("pop3s://alice@mail.example.com", url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=python_path() | {"SSL_CERT_FILE": str(served.ca)},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    fetched = [(tmp_path / f"{number}.eml").read_bytes() for number in (1, 2)]
    assert fetched == [naive_wire_form(message) for message in MAIL]
