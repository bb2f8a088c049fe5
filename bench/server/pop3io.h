/* What the load client and the responder share: ends, numbers, time, addresses, octets.
 *
 * Everything here is `static inline`, so that each program is one compiler call. Nothing here knows
 * POP3 or which side it is on.
 */
#ifndef POP3IO_H
#define POP3IO_H

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
    /* The largest plaintext of a TLS record (RFC 8446 section 5.1): one SSL_read gives no more. */
    RECORD_OCTETS = 16384,
    EVENTS_AT_ONCE = 256,
};

/* Say what is wrong on standard error and end with 2, as for wrong usage. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

/* Return a block of zeros; there is no going on without it. */
static inline void *allocate(size_t count, size_t octets)
{
    void *block = calloc(count ? count : 1, octets);
    if (!block)
        die("out of memory");
    return block;
}

static inline void *reallocate(void *block, size_t octets)
{
    block = realloc(block, octets);
    if (!block)
        die("out of memory");
    return block;
}

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Read a whole number of an option, or end. */
static inline long number_of(const char *option, const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < least || number > most)
        die("--%s must be a whole number from %ld to %ld, not \"%s\"", option, least, most, text);
    return number;
}

/* Read a number of an option that may have a fraction, or end. */
static inline double decimal_of(const char *option, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= least && number <= most))
        die("--%s must be a number from %g to %g, not \"%s\"", option, least, most, text);
    return number;
}

struct address {
    struct sockaddr_storage name;
    socklen_t octets;
};

/* Return the socket address of a numeric host, IPv4 or IPv6, and a port. */
static inline struct address address_of(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int refused = getaddrinfo(host, port, &hints, &found);
    if (refused)
        die("--host %s --port %s: %s", host, port, gai_strerror(refused));
    struct address address = {.octets = found->ai_addrlen};
    memcpy(&address.name, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return address;
}

/* Take as many files as the system lets us: a session is one. */
static inline void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        die("getrlimit: %s", strerror(errno));
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files))
        die("setrlimit: %s", strerror(errno));
}

/* Return what OpenSSL, else the system, says about the last failure. */
static inline const char *tls_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : errno ? strerror(errno) : "closed";
}

/* A context as both sides want it: TLS 1.3 and nothing else, few system calls, non-blocking. */
static inline SSL_CTX *new_context(const SSL_METHOD *side)
{
    SSL_CTX *context = SSL_CTX_new(side);
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION))
        die("OpenSSL: %s", tls_reason());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* One recv instead of two a record. Whoever reads asks SSL_has_pending before it waits. */
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

/* Octets that wait: appended at the end, taken from the front. */
struct octets {
    char *data;
    size_t start, end, room;
};

static inline void append(struct octets *octets, const char *data, size_t count)
{
    if (octets->start == octets->end)
        octets->start = octets->end = 0;
    if (octets->end + count > octets->room) {
        octets->room = 2 * (octets->end + count);
        octets->data = reallocate(octets->data, octets->room);
    }
    memcpy(octets->data + octets->end, data, count);
    octets->end += count;
}

static inline void release(struct octets *octets)
{
    free(octets->data);
    *octets = (struct octets){0};
}

#endif
