"""Whose tokens are good is named in a way that can be trusted, or the settings are refused."""

import pytest

from mailkeep.site import SettingsError, parse_settings

HOST = 'hostname = "mail.example.com"\n'


def refusal(text: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, source="mailkeep.toml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("", "oauth: a token is checked with `keys` or with `introspection`", "one of the two"),
        ('keys = "k"\nintrospection = "https://id.example.com/"\n', "checked with", "one of the"),
        ('keys = "http://id.example.com/"\n', ":5: oauth.keys: ", "https://id.example.com/"),
        ('keys = "https:///keys"\n', ":5: oauth.keys: ", "the path of a file"),
        ('introspection = "http://id.example.com/"\n', ":5: oauth.introspection: ", "https://"),
        ('introspection = "id.example.com"\n', ":5: oauth.introspection: ", "https://"),
        ('keys = "k"\nconfiguration = "id.example.com"\n', ":6: oauth.configuration: ", "https://"),
        ('keys = "k"\nalgorithms = ["none"]\n', ':6: oauth.algorithms: "none" does not', "remove"),
        (
            'keys = "k"\nalgorithms = ["RS256", "HS256"]\n',
            ':6: oauth.algorithms: "HS256"',
            "remove",
        ),
        ('keys = "k"\nalgorithms = []\n', ":6: oauth.algorithms: no token", "leave it out"),
        ('keys = "k"\nalgorithms = "RS256"\n', ":6: oauth.algorithms: expected a list", ""),
        ('keys = "k"\nalgorithms = ["ES256", 3]\n', ":6: oauth.algorithms[1]: expected a text", ""),
        ('keys = "k"\nname_claim = ""\n', ":6: oauth.name_claim: it is empty", ""),
        ('keys = "k"\nisuer = "x"\n', ":6: oauth.isuer: unknown key", "did you mean `issuer`?"),
        ("keys = true\n", ":5: oauth.keys: expected a text in quotes, got true or false", ""),
        ("client_secret_file = 3\n", ":5: oauth.client_secret_file: expected a text", ""),
    ],
)
def test_a_table_of_tokens_that_trusts_nobody_or_everybody_is_refused(
    text: str, what: str, hint: str
) -> None:
    """A token that anybody can make, or a provider that anybody on the way can be, is no login."""
    error = refusal(HOST + '[oauth]\nissuer = "https://id.example.com"\naudience = "mail"\n' + text)
    assert what in str(error)
    assert hint in (error.hint or "")


@pytest.mark.parametrize("keys", ["jwks.json", "/etc/jwks.json", "https://id.example.com/keys"])
def test_keys_are_a_file_or_behind_a_url(keys: str) -> None:
    """Nothing but https is a URL that can be trusted; anything without a scheme is a file."""
    text = f'{HOST}[oauth]\nissuer = "i"\naudience = "mail"\nkeys = "{keys}"\n'
    oauth = parse_settings(text, source="x").oauth
    assert oauth is not None
    assert (oauth.keys, oauth.algorithms) == (keys, ("RS256", "ES256", "EdDSA"))
