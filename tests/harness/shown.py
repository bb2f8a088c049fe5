"""What a traceback with its variables shows, which some loggers print."""

import traceback


def variables_shown(error: BaseException) -> str:
    """Return the variables of Mailkeep's frames in an error, and in those it was raised from."""
    shown: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        frames = traceback.walk_tb(seen.__traceback__)
        shown += [str(f.f_locals) for f, _ in frames if "/mailkeep/" in f.f_code.co_filename]
        seen = seen.__cause__ or seen.__context__
    assert shown
    return f"{error!r} {shown}"
