"""The certificate of a running site: renewed if it is the site's own, reloaded when it changed.

What cannot be used leaves the certificate before in force, and is told.
"""

import ssl
from datetime import UTC, datetime

from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.site import Site, TlsVersion
from mailkeep.tls import CertificateProblem
from mailkeep.tls.authority import SERVER, renew_if_due
from mailkeep.tls.certificates import Certificates, InForce

_MINIMUM = {
    TlsVersion.TLS_1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS_1_3: ssl.TLSVersion.TLSv1_3,
}


class SiteCertificate:
    """Holds the certificate that new connections are shown."""

    def __init__(self, site: Site, sink: EventSink, *, renews: bool = True) -> None:
        """Read it, after renewing it if that is due.

        Args:
            site: whose.
            sink: who is told.
            renews: whether this process renews it; one does.

        Raises:
            CertificateProblem: it cannot be used.
        """
        self._site = site
        self._sink = sink
        if renews:
            self.renew()
        self._certificates = _read(site)

    def current(self) -> InForce:
        """Return the context for one new connection, and the channel binding that goes with it."""
        return self._certificates.in_force

    def use(self, site: Site | None = None) -> None:
        """Read the files that the settings name now, whatever they look like.

        Args:
            site: with settings that may name other files; the one before unless given.

        Raises:
            CertificateProblem: they cannot be used; the certificate before stays.
        """
        self._certificates = _read(site or self._site)
        self._site = site or self._site

    def look(self) -> bool:
        """Reload the files if they changed; return whether they did and can be used."""
        try:
            return self._certificates.reload_if_changed() is not None
        except CertificateProblem as problem:
            self.tell_rejected(problem)
            return False

    def renew(self) -> None:
        """Issue the site's own certificate anew if it is due; others are left alone."""
        if self._site.certificate != self._site.tls / SERVER:
            return
        try:
            if renew_if_due(self._site.tls, self._site.settings.hostname, datetime.now(UTC)):
                self._sink.emit(events.CertificateRenewed(path=str(self._site.certificate)))
        except CertificateProblem as problem:
            self.tell_rejected(problem)

    def tell_rejected(self, problem: CertificateProblem) -> None:
        """Tell that the certificate before stays in force, and why."""
        self._sink.emit(events.CertificateRejected(reason=str(problem), hint=problem.hint))

    def tell_loaded(self) -> None:
        """Tell which certificate new connections are shown."""
        self._sink.emit(
            events.CertificateLoaded(
                path=str(self._site.certificate),
                not_after=self._certificates.description.not_after.isoformat(),
            )
        )


def _read(site: Site) -> Certificates:
    tls = site.settings.tls
    client_ca = None if tls.client_ca is None else site.folder / tls.client_ca
    return Certificates(
        site.certificate, site.key, minimum=_MINIMUM[tls.minimum], client_ca=client_ca
    )
