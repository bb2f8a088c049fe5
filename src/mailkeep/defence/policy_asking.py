"""Asking a policy server, if there is one, and what to do when it does not answer.

Reports are sent behind the client's back: nobody waits for them, and when too many are under way
they are dropped.
"""

import asyncio
from collections.abc import Callable

from mailkeep.defence.policy_question import (
    PolicyAnswer,
    PolicyQuestion,
    PolicyReport,
    PolicyServerUnavailable,
)
from mailkeep.defence.policy_server import PARALLEL_LIMIT, PolicyServer
from mailkeep.defence.seam import Attempt, DoorUnavailable

TELL_EVERY_S = 60.0
"""An operator reads that it is away once, not once a login."""

_YES = PolicyAnswer(is_rejected=False, wait_s=0)


class PolicyAsking:
    """Asks and reports.

    Args:
        server: None for none.
        tell: hears why the server failed.
    """

    def __init__(self, server: PolicyServer | None, tell: Callable[[str], None]) -> None:
        self._server = server
        self.has_server = server is not None
        """Whether there is anybody to ask."""
        self._tell = tell
        self._told_s = float("-inf")
        self._reports: set[asyncio.Task[None]] = set()

    async def ask(self, attempt: Attempt, *, fails_closed: bool) -> PolicyAnswer:
        """Return what the server says about a login; yes where there is none.

        Raises:
            DoorUnavailable: it does not answer, and nobody is let in without it.
        """
        if self._server is None:
            return _YES
        try:
            return await self._server.allow(_question_of(attempt))
        except PolicyServerUnavailable as cause:
            self._tell_of(cause)
            if fails_closed:
                raise DoorUnavailable(f"the policy server is away: {cause}") from cause
            return _YES

    def report(self, attempt: Attempt, *, is_success: bool, is_policy_reject: bool = False) -> None:
        """Tell the server what came of a login, some time."""
        if self._server is None or len(self._reports) >= PARALLEL_LIMIT:
            return
        report = PolicyReport(is_success=is_success, is_policy_reject=is_policy_reject)
        task = asyncio.ensure_future(self._send(self._server, _question_of(attempt), report))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def close(self) -> None:
        """Drop the reports under way."""
        reports = list(self._reports)
        for task in reports:
            task.cancel()
        await asyncio.gather(*reports, return_exceptions=True)

    async def _send(
        self, server: PolicyServer, question: PolicyQuestion, report: PolicyReport
    ) -> None:
        try:
            await server.report(question, report)
        except PolicyServerUnavailable as cause:
            self._tell_of(cause)

    def _tell_of(self, cause: PolicyServerUnavailable) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            self._tell(str(cause))


def _question_of(attempt: Attempt) -> PolicyQuestion:
    return PolicyQuestion(
        login=attempt.name,
        remote=attempt.source,
        session=attempt.session,
        tls=attempt.tls,
        seal=attempt.password_seal,
    )
