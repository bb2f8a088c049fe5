"""The first step of a login: who is named, and is the proof one that cannot be guessed?

It decides nothing and costs no hash. A token is checked here, because it is what names somebody.
"""

from dataclasses import dataclass

from mailkeep.accounts.credentials import Credential, Credentials
from mailkeep.accounts.deciding import NOBODY, Evidence, Proven
from mailkeep.accounts.keying import Keying
from mailkeep.accounts.questions import (
    CertificateQuestion,
    Question,
    TokenQuestion,
    ask_password,
    ask_scram,
    read_address,
    show_name,
)
from mailkeep.accounts.seam import (
    CertificateClaim,
    Claim,
    Device,
    Identified,
    PasswordClaim,
    ScramClaim,
    TokenCheck,
    TokenClaim,
    TokenRefused,
)
from mailkeep.values import Address

NO_NAME = Address("", "")
"""Looked up for a name that can be none; `Address.parse` makes no such address."""


@dataclass(slots=True)
class Known:
    """What was found out about a claim."""

    question: Question
    credential: Credential
    evidence: Evidence


class Identifying:
    """Finds out who is named.

    Args:
        credentials: where accounts are read.
        keying: of the site.
        default_domain: what a name without a domain belongs to.
        tokens: None when no token is good.
    """

    def __init__(
        self,
        credentials: Credentials,
        keying: Keying,
        *,
        default_domain: str,
        tokens: TokenCheck | None,
    ) -> None:
        self._credentials = credentials
        self._keying = keying
        self._default_domain = default_domain
        self._tokens = tokens

    async def identify(self, claim: Claim) -> Identified:
        """Read what the claim is about; see `LoginCheck`.

        Raises:
            DatabaseUnavailable, TokenCheckUnavailable: it could not be found out.
        """
        question: Question
        if isinstance(claim, PasswordClaim):  # nearly every login
            question = ask_password(claim, self._default_domain, self._keying)
        else:
            question = await self._question_of(claim)
        credential = self.at_hand(question) or await self.read(question)
        evidence = question.evidence(credential)
        account = credential.account
        is_named = account.id != NOBODY and evidence.address == account.address
        return Identified(
            _name_of(claim, evidence),
            account.id if is_named else None,
            isinstance(evidence.proof, Device) or evidence.proof is Proven.TOKEN,
            claim,
            Known(question, credential, evidence),
        )

    def at_hand(self, question: Question) -> Credential | None:
        """Return what `read` returns if it was read before and is good; takes no time."""
        if isinstance(question, CertificateQuestion):
            return None
        return self._credentials.at_hand(question.address or NO_NAME)

    async def read(self, question: Question) -> Credential:
        """Read the account that a question is about, or nobody's.

        Raises:
            DatabaseUnavailable: it cannot be read.
        """
        if isinstance(question, CertificateQuestion):
            return await self._credentials.find_by_certificate(question.sha256)
        return await self._credentials.find(question.address or NO_NAME)

    async def _question_of(self, claim: ScramClaim | CertificateClaim | TokenClaim) -> Question:
        match claim:
            case ScramClaim():
                return ask_scram(claim, self._default_domain)
            case CertificateClaim(name_untrusted, sha256):
                address = read_address(name_untrusted, self._default_domain)
                return CertificateQuestion(name_untrusted != b"", address, sha256)
            case TokenClaim():
                return await self._ask_token(claim)

    async def _ask_token(self, claim: TokenClaim) -> TokenQuestion:
        """Check a token; a name that came with it must be its owner's."""
        said = read_address(claim.name_untrusted, self._default_domain)
        owner = await self._owner_of(claim)
        if claim.name_untrusted:
            return TokenQuestion(said, is_good=owner is not None and said == owner)
        return TokenQuestion(owner, is_good=owner is not None)

    async def _owner_of(self, claim: TokenClaim) -> Address | None:
        if self._tokens is None:
            return None
        try:
            name = await self._tokens.name_of(claim.token_untrusted)
        except TokenRefused:
            return None
        return read_address(name.encode(errors="replace"), self._default_domain)


def _name_of(claim: Claim, evidence: Evidence) -> str:
    """Return by what name failures are counted, whether anybody has it or not."""
    if evidence.address is not None and evidence.address.local:
        return str(evidence.address)
    if isinstance(claim, CertificateClaim) and not claim.name_untrusted:
        return f"certificate {claim.sha256}"
    return show_name(claim.name_untrusted)
