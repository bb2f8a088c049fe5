"""The bar on a terminal, as a user sees it: on a real one, of a given width."""

import pytest
from tests.cli.fetch.terminal import compare, play_on_terminal, screens


@pytest.mark.parametrize("columns", [100, 80, 50])
@pytest.mark.parametrize("scene", ["middle", "reconnected", "harmful"])
def test_bars_are_as_they_were(scene: str, columns: int) -> None:
    """A line an account: messages, octets, rate, time left; trouble stands above and stays."""
    moving, _ = screens(play_on_terminal("bar", scene, columns=columns))
    compare(f"bar {scene} {columns}", moving.text)


def test_at_the_end_there_are_lines_and_no_bars_and_the_cursor_is_back() -> None:
    """What stays on the screen is what a user scrolls back for."""
    moving, end = screens(play_on_terminal("bar", "ordinary"))
    assert not moving.is_cursor_shown
    assert end.is_cursor_shown
    assert "━" not in end.text
    compare("bar ordinary at the end", end.text)


def test_no_color_is_honoured_and_changes_no_word() -> None:
    """NO_COLOR (no-color.org); colours only repeat what words say."""
    coloured, _ = screens(play_on_terminal("bar", "middle"))
    plain, _ = screens(play_on_terminal("bar", "middle", changed={"NO_COLOR": "1"}))
    assert coloured.colours
    assert not plain.colours
    assert plain.text.splitlines()[:4] == coloured.text.splitlines()[:4]


def test_a_hostile_server_moves_no_cursor() -> None:
    """S-56: only the bar's own escape codes reach the terminal; `Screen` fails on others."""
    written = play_on_terminal("bar", "harmful")
    screens(written)
    assert "\x1b]" not in written
    assert "\x1b[2J" not in written
    assert "\u202e" not in written


def test_texts_are_no_markup() -> None:
    """Square brackets and colons are what a server said, and stay."""
    _, end = screens(play_on_terminal("bar", "harmful"))
    assert "[bold]no markup[/bold] :smile: 12" in end.text
