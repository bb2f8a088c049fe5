/* TLS as a careful client has it, and no dearer: the server is verified, its certificate once. */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include <openssl/x509.h>

#include "load_state.h"

/* Decode a certificate once, however often it is shown.
 *
 * libssl calls this by name, and the name of a program goes before that of a library. OpenSSL 3.0
 * looks for a decoder of the public key for each certificate anew, which took a third of what a
 * login costs here. Where the name is not taken from here, all works as before, only dearer.
 */
X509 *d2i_X509(X509 **place, const unsigned char **octets, long count)
{
    static unsigned char *known;
    static long known_count;
    const unsigned char *begin = *octets;
    if (known_count == count && !memcmp(known, begin, (size_t)count) && X509_up_ref(run.decoded)) {
        if (place) {
            X509_free(*place);
            *place = run.decoded;
        }
        *octets += count;
        return run.decoded;
    }
    X509 *new = (X509 *)ASN1_item_d2i((ASN1_VALUE **)place, octets, count, ASN1_ITEM_rptr(X509));
    /* The first that a server shows is its own; the authority's file was read before. */
    if (new && run.open && !run.decoded && X509_up_ref(new)) {
        run.decoded = new;
        known = reallocate(NULL, (size_t)count);
        memcpy(known, begin, (size_t)count);
        known_count = count;
    }
    return new;
}

/* Verify the chain once; the same certificate need not be verified again. That the server has its
 * key is checked by OpenSSL in each handshake all the same. */
static int verify_certificate(X509_STORE_CTX *chain, void *unused)
{
    (void)unused;
    X509 *certificate = X509_STORE_CTX_get0_cert(chain);
    if (certificate == run.verified)
        return 1;
    int verdict = X509_verify_cert(chain);
    if (verdict == 1 && !run.verified && X509_up_ref(certificate))
        run.verified = certificate;
    return verdict == 1;
}

static int keep_ticket(SSL *tls, SSL_SESSION *ticket)
{
    const struct session *session = SSL_get_app_data(tls);
    SSL_SESSION_free(run.tickets[session->user]);
    run.tickets[session->user] = ticket;
    return 1;
}

static SSL_CTX *client_context(const char *authority)
{
    SSL_CTX *context = new_context(TLS_client_method());
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD_OCTETS);
    if (!SSL_CTX_load_verify_file(context, authority))
        die("--ca %s: %s", authority, tls_reason());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify_certificate, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (wanted.resume) {
        SSL_CTX_set_session_cache_mode(context,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_ticket);
    }
    return context;
}

#endif
