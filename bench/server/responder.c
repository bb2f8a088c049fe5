/* The floor of the benchmark: a POP3 server that does not think.
 *
 *   responder --port N --host H --cert FILE --key FILE --messages DIR [--count 20] [--mode tls]
 *
 * Responsible for: answering by position, from octets that lie ready in memory, with what a real
 * server cannot do without: accept, the TLS 1.3 handshake, one read and one write a command.
 * It must not know: accounts (every name and password is right), maildrops, files after the start,
 * deadlines. DELE answers +OK and deletes nothing.
 * Limits: one thread, one maildrop for everybody. With fewer files in DIR than --count they are
 * served again from the first. `--port 0` takes a free one and prints `ready PORT`.
 *
 * One thread and epoll, because a thread a connection costs more than the servers that are compared
 * with it. No session tickets, as both of them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pop3io.h"

enum {
    /* RFC 2449 section 4: a command has at most 255 octets. The rest is room for pipelining. */
    INPUT_OCTETS = 8192,
    /* Answers of one go. More than that waits until these have left. */
    ANSWERS_AT_ONCE = 64,
    OUTPUT_OCTETS = 1 << 18,
    PATH_OCTETS = 4096,
    BACKLOG = 4096,
};

struct answer {
    const char *data;
    size_t octets;
};

/* Everything that will ever be said. */
static struct {
    struct answer greeting, ok, error, capa, stat, uidl, list, quit;
    struct answer *messages;
    long count;
} prepared;

struct connection {
    SSL *tls;
    int socket;
    uint32_t events;
    bool greeted, ending;
    struct answer direct;  /* the rest of a single answer, sent from where it lies */
    struct octets output;  /* the rest of several answers, put together */
    size_t input_end;
    char input[INPUT_OCTETS];
};

static volatile sig_atomic_t ended;

static void end_on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* --- before the first connection: all answers ------------------------------------------------ */

static struct answer answer_of(const char *text)
{
    return (struct answer){text, strlen(text)};
}

static struct answer kept(struct octets *octets)
{
    return (struct answer){octets->data, octets->end};
}

__attribute__((format(printf, 2, 3)))
static void append_line(struct octets *octets, const char *format, ...)
{
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    append(octets, line, (size_t)length);
}

static struct octets read_whole(const char *path)
{
    struct octets whole = {0};
    char piece[1 << 16];
    FILE *file = fopen(path, "rb");
    if (!file)
        die("%s: %s", path, strerror(errno));
    for (size_t count; (count = fread(piece, 1, sizeof piece, file)) > 0;)
        append(&whole, piece, count);
    if (ferror(file))
        die("%s: cannot be read", path);
    fclose(file);
    return whole;
}

/* Append a stored message as it goes over the wire: CRLF line ends, dots doubled (RFC 1939
 * section 3). Return its octets without the doubled dots, which is what LIST announces. */
static size_t append_wire_form(struct octets *wire, const struct octets *stored)
{
    size_t doubled = 0, before = wire->end;
    char last = '\n';
    for (size_t i = stored->start; i < stored->end; last = stored->data[i++]) {
        if (last == '\n' && stored->data[i] == '.') {
            append(wire, ".", 1);
            doubled++;
        }
        if (stored->data[i] == '\n' && last != '\r')
            append(wire, "\r", 1);
        append(wire, &stored->data[i], 1);
    }
    bool whole_lines = wire->end - before >= 2 && !memcmp(wire->data + wire->end - 2, "\r\n", 2);
    if (stored->end > stored->start && !whole_lines)
        append(wire, "\r\n", 2);
    return wire->end - before - doubled;
}

/* Prepare the answer to RETR of one file; return the octets of the message. */
static size_t prepare_message(const char *path, struct answer *answer)
{
    struct octets stored = read_whole(path), wire = {0}, whole = {0};
    size_t octets = append_wire_form(&wire, &stored);
    append_line(&whole, "+OK %zu octets\r\n", octets);
    append(&whole, wire.data, wire.end);
    append(&whole, ".\r\n", 3);
    release(&stored);
    release(&wire);
    *answer = kept(&whole);
    return octets;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Read the files of a folder in the order of their names and prepare every answer from them. */
static void prepare(const char *folder, long count)
{
    struct dirent **entries;
    int files = scandir(folder, &entries, is_shown, alphasort);
    if (files < 1 && count > 0)
        die("--messages %s: no files", folder);
    long distinct = files < count ? files : count;
    size_t *sizes = allocate((size_t)count, sizeof *sizes), total = 0;
    struct octets stat = {0}, uidl = {0}, list = {0};
    prepared.messages = allocate((size_t)count, sizeof *prepared.messages);
    prepared.count = count;
    append_line(&uidl, "+OK\r\n");
    append_line(&list, "+OK\r\n");
    for (long i = 0; i < count; i++) {
        char path[PATH_OCTETS];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i % distinct]->d_name);
        if (i < distinct)
            sizes[i] = prepare_message(path, &prepared.messages[i]);
        else
            prepared.messages[i] = prepared.messages[i % distinct];
        total += sizes[i % distinct];
        /* As long as the unique-ids that real servers make from a Maildir's base names. */
        append_line(&uidl, "%ld %010ld.M%06ldP000001.mail\r\n", i + 1, 1700000000 + i, i % 1000000);
        append_line(&list, "%ld %zu\r\n", i + 1, sizes[i % distinct]);
    }
    append_line(&uidl, ".\r\n");
    append_line(&list, ".\r\n");
    append_line(&stat, "+OK %ld %zu\r\n", count, total);
    prepared.stat = kept(&stat);
    prepared.uidl = kept(&uidl);
    prepared.list = kept(&list);
    prepared.greeting = answer_of("+OK ready\r\n");
    prepared.ok = answer_of("+OK\r\n");
    prepared.error = answer_of("-ERR no\r\n");
    prepared.capa = answer_of("+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n");
    prepared.quit = answer_of("+OK bye\r\n");
    free(sizes);
    for (int i = 0; i < files; i++)
        free(entries[i]);
    free(entries);
}

/* --- one connection -------------------------------------------------------------------------- */

/* Return the answer to one command line. */
static struct answer answer_to(const char *line, struct connection *connection)
{
    static const struct {
        char verb[5];
        const struct answer *answer;
    } fixed[] = {
        {"USER", &prepared.ok},   {"PASS", &prepared.ok},   {"STAT", &prepared.stat},
        {"UIDL", &prepared.uidl}, {"LIST", &prepared.list}, {"NOOP", &prepared.ok},
        {"CAPA", &prepared.capa},
    };
    if (!strncasecmp(line, "RETR ", 5) || !strncasecmp(line, "DELE ", 5)) {
        long number = strtol(line + 5, NULL, 10);
        if (number < 1 || number > prepared.count)
            return prepared.error;
        return (line[0] | 0x20) == 'r' ? prepared.messages[number - 1] : prepared.ok;
    }
    if (!strncasecmp(line, "QUIT", 4)) {
        connection->ending = true;
        return prepared.quit;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!strncasecmp(line, fixed[i].verb, 4))
            return *fixed[i].answer;
    return prepared.error;
}

/* Answer the whole lines of the input, up to what may leave in one go. */
static void answer_input(struct connection *connection)
{
    struct answer answers[ANSWERS_AT_ONCE];
    size_t count = 0, octets = 0, start = 0;
    while (count < ANSWERS_AT_ONCE && octets < OUTPUT_OCTETS && !connection->ending) {
        char *line = connection->input + start;
        char *end = memchr(line, '\n', connection->input_end - start);
        if (!end)
            break;
        *end = '\0';
        answers[count] = answer_to(line, connection);
        octets += answers[count++].octets;
        start = (size_t)(end + 1 - connection->input);
    }
    memmove(connection->input, connection->input + start, connection->input_end - start);
    connection->input_end -= start;
    if (count == 1)
        connection->direct = answers[0];
    else
        for (size_t i = 0; i < count; i++)
            append(&connection->output, answers[i].data, answers[i].octets);
}

/* Write what waits. Return 1 when all is gone, else what SSL_write returned. */
static int write_answers(struct connection *connection)
{
    struct octets *output = &connection->output;
    while (output->start < output->end) {
        size_t octets = output->end - output->start;
        int sent = SSL_write(connection->tls, output->data + output->start, (int)octets);
        if (sent <= 0)
            return sent;
        output->start += (size_t)sent;
    }
    while (connection->direct.octets) {
        int sent = SSL_write(connection->tls, connection->direct.data,
                             (int)connection->direct.octets);
        if (sent <= 0)
            return sent;
        connection->direct.data += sent;
        connection->direct.octets -= (size_t)sent;
    }
    return 1;
}

/* Go on as far as possible: handshake, greeting, then reads and answers in turn.
 * Return what OpenSSL waits for; anything but WANT_READ and WANT_WRITE is the end. */
static int proceed(struct connection *connection)
{
    int result;
    bool nothing_to_read = false;
    if (!connection->greeted) {
        if ((result = SSL_accept(connection->tls)) <= 0)
            return SSL_get_error(connection->tls, result);
        connection->greeted = nothing_to_read = true;
        connection->direct = prepared.greeting;
    }
    for (;;) {
        if ((result = write_answers(connection)) <= 0)
            return SSL_get_error(connection->tls, result);
        answer_input(connection);
        if (connection->direct.octets || connection->output.start < connection->output.end)
            continue;
        size_t room = INPUT_OCTETS - connection->input_end;
        if (connection->ending || !room)
            return SSL_ERROR_ZERO_RETURN;
        if (nothing_to_read && !SSL_has_pending(connection->tls))
            return SSL_ERROR_WANT_READ;
        result = SSL_read(connection->tls, connection->input + connection->input_end, (int)room);
        if (result <= 0)
            return SSL_get_error(connection->tls, result);
        connection->input_end += (size_t)result;
        nothing_to_read = true;
    }
}

/* --- all connections ------------------------------------------------------------------------- */

static void wait_for(int poll, struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(poll, operation, connection->socket, &event))
        die("epoll_ctl: %s", strerror(errno));
    connection->events = events;
}

static void end_connection(struct connection *connection)
{
    if (connection->ending)
        SSL_shutdown(connection->tls);
    ERR_clear_error();
    SSL_free(connection->tls);
    close(connection->socket);
    release(&connection->output);
    free(connection);
}

static void accept_all(int poll, int listener, SSL_CTX *context)
{
    for (int socket; (socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *connection = allocate(1, sizeof *connection);
        connection->socket = socket;
        connection->tls = SSL_new(context);
        if (!connection->tls || !SSL_set_fd(connection->tls, socket))
            die("OpenSSL: %s", tls_reason());
        wait_for(poll, connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void serve_event(int poll, struct connection *connection)
{
    int wanted = proceed(connection);
    if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
        end_connection(connection);
        return;
    }
    uint32_t events = wanted == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT;
    if (events != connection->events)
        wait_for(poll, connection, EPOLL_CTL_MOD, events);
}

static int listen_on(const struct address *address)
{
    int on = 1, listener = socket(address->name.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    /* What is accepted inherits TCP_NODELAY: one system call a connection less. */
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        bind(listener, (const struct sockaddr *)&address->name, address->octets) ||
        listen(listener, BACKLOG))
        die("cannot listen: %s", strerror(errno));
    return listener;
}

/* Tell on standard output that it listens, and where when nobody else can know. */
static void print_ready(int listener, const char *port)
{
    struct sockaddr_storage name;
    socklen_t octets = sizeof name;
    char taken[NI_MAXSERV];
    if (getsockname(listener, (struct sockaddr *)&name, &octets) ||
        getnameinfo((struct sockaddr *)&name, octets, NULL, 0, taken, sizeof taken, NI_NUMERICSERV))
        die("getsockname: %s", strerror(errno));
    if (strcmp(port, "0"))
        puts("ready");
    else
        printf("ready %s\n", taken);
    fflush(stdout);
}

static void serve(int listener, SSL_CTX *context)
{
    struct epoll_event events[EVENTS_AT_ONCE], event = {.events = EPOLLIN, .data.ptr = NULL};
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event))
        die("epoll: %s", strerror(errno));
    while (!ended) {
        int count = epoll_wait(poll, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                serve_event(poll, events[i].data.ptr);
            else
                accept_all(poll, listener, context);
        }
    }
    close(poll);
    close(listener);
}

static SSL_CTX *server_context(const char *certificate, const char *key)
{
    SSL_CTX *context = new_context(TLS_server_method());
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        die("--cert %s: %s", certificate, tls_reason());
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        die("--key %s: %s", key, tls_reason());
    return context;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},     {"host", required_argument, NULL, 'h'},
        {"cert", required_argument, NULL, 'c'},     {"key", required_argument, NULL, 'k'},
        {"messages", required_argument, NULL, 'm'}, {"count", required_argument, NULL, 'n'},
        {"mode", required_argument, NULL, 'o'},     {0},
    };
    const char *port = NULL, *host = "127.0.0.1", *certificate = NULL, *key = NULL, *folder = NULL;
    long count = 20;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (option) {
        case 'p': port = optarg; break;
        case 'h': host = optarg; break;
        case 'c': certificate = optarg; break;
        case 'k': key = optarg; break;
        case 'm': folder = optarg; break;
        case 'n': count = number_of("count", optarg, 0, 10000000); break;
        case 'o':
            if (strcmp(optarg, "tls"))
                die("--mode knows tls only, not \"%s\"", optarg);
            break;
        default: return 2;
        }
    }
    if (!port || !certificate || !key || !folder || optind < argc)
        die("responder --port N [--host H] --cert FILE --key FILE --messages DIR [--count 20]");
    signal(SIGPIPE, SIG_IGN);
    struct sigaction on_end = {.sa_handler = end_on_signal};
    sigaction(SIGTERM, &on_end, NULL);
    raise_file_limit();
    prepare(folder, count);
    SSL_CTX *context = server_context(certificate, key);
    struct address address = address_of(host, port);
    int listener = listen_on(&address);
    print_ready(listener, port);
    serve(listener, context);
    SSL_CTX_free(context);
    return 0;
}
