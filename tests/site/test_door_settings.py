"""A policy server is a URL that can be asked, or the settings are refused."""

import pytest

from mailkeep.site import SettingsError, parse_settings

HOST = 'hostname = "mail.example.com"\n'


def refusal(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, source="mailkeep.toml")
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        *(
            "policy.example.com",
            "policy.example.com:8084",
            "ftp://policy.example.com/",
            "http:///x",
        ),
        *("http://127.0.0.1:80840/", "http://127.0.0.1:x/", "http://127.0.0.1:0/", "http://[::1/"),
        *("http://policy.example.com/a b", "http://pölicy.example.com/", " http://127.0.0.1/"),
    ],
)
def test_what_is_no_url_is_no_policy_server(url: str) -> None:
    """A server that cannot be asked would let everybody in, or nobody."""
    error = refusal(f'{HOST}[door]\npolicy_server = "{url}"\n')
    assert f'mailkeep.toml:3: door.policy_server: "{url}" is not' in str(error)
    assert "http://127.0.0.1:8084/" in (error.hint or "")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8084/", "http://[::1]:8084/?x=1", "https://policy.example.com"]
)
def test_a_url_is_a_policy_server(url: str) -> None:
    """With or without TLS: it may be on this machine."""
    settings = parse_settings(f'{HOST}[door]\npolicy_server = "{url}"\n', source="x")
    assert settings.door.policy_server == url
