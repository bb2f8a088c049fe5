/* The load of the benchmark: many POP3 sessions at once, as cheap as they can be had.
 *
 *   load --port N --ca FILE --script NAME --password PW [--host 127.0.0.1] [--users 200]
 *        [--user-format "user%d@mail.example.com"] [--seconds 5 | --units N | --hold]
 *        [--connections 8] [--starttls] [--name mail.example.com] [--resume] [--rate 64]
 *        [--in-flight 16] [--awake]
 *
 * Responsible for: playing one of the scripts of load_state.h, counting what was done and what
 * went wrong, and telling what it cost itself. Each user is in one session at a time, because a
 * maildrop is one session's (RFC 1939 section 4). `--hold` goes on until standard input closes;
 * `--rate` is in KiB/s; `--in-flight` is for scripts that pipeline. `--awake` asks the kernel again
 * and again instead of sleeping: to wake a sleeping core costs a server on the same machine an
 * interrupt per answer, which it would not have to pay on a network.
 * It must not know: which server it talks to, and what is in a message. Of a body only the end is
 * looked for; a terminator is one wherever it stands, since real dots are doubled.
 * Limits: answers are not checked beyond +OK; one thread, so one core.
 *
 * The last line on standard output is one JSON object. Exit code 1 when a session went wrong.
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load_talk.h"
#include "load_tls.h"

/* --- the beginning and the end of a session --------------------------------------------------- */

static void begin_tls(struct session *session)
{
    session->tls = SSL_new(run.context);
    if (!session->tls || !SSL_set_fd(session->tls, session->socket) ||
        !SSL_set_tlsext_host_name(session->tls, wanted.name) ||
        !SSL_set1_host(session->tls, wanted.name))
        die("OpenSSL: %s", tls_reason());
    SSL_set_app_data(session->tls, session);
    SSL_set_connect_state(session->tls);
    if (run.tickets[session->user])
        SSL_set_session(session->tls, run.tickets[session->user]);
    session->stage = HANDSHAKE;
}

static void shake_hands(struct session *session)
{
    int result = SSL_do_handshake(session->tls);
    if (result == 1) {
        run.resumed += SSL_session_reused(session->tls);
        session->stage = TALKING;
        wait_for(session, EPOLLIN);
        send_commands(session);
        return;
    }
    int error = SSL_get_error(session->tls, result);
    long verdict = SSL_get_verify_result(session->tls);
    if (error == SSL_ERROR_WANT_READ)
        wait_for(session, EPOLLIN);
    else if (error == SSL_ERROR_WANT_WRITE)
        wait_for(session, EPOLLOUT);
    else if (verdict != X509_V_OK)
        fail(session, "certificate: %s", X509_verify_cert_error_string(verdict));
    else
        fail(session, "handshake: %s", tls_reason());
}

/* Before STLS: read the greeting, ask for STLS, read its answer (RFC 2595 section 4). */
static void talk_plainly(struct session *session)
{
    ssize_t got = recv(session->socket, session->line + session->line_octets,
                       LINE_OCTETS - 1 - session->line_octets, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (got <= 0) {
        fail(session, "before TLS: %s", got ? strerror(errno) : "closed");
        return;
    }
    session->quiet_since_s = now_s();
    session->line_octets += (size_t)got;
    session->line[session->line_octets] = '\0';
    if (session->line[session->line_octets - 1] != '\n')
        return;
    session->line_octets = 0;
    if (strncmp(session->line, "+OK", 3))
        fail(session, "before TLS: %s", session->line);
    else if (session->stage == PLAIN_STLS)
        begin_tls(session);
    else if (send(session->socket, "STLS\r\n", 6, 0) == 6)
        session->stage = PLAIN_STLS;
    else
        fail(session, "STLS: %s", strerror(errno));
}

static int take_user(void)
{
    while (run.busy[run.next_user % wanted.users])
        run.next_user++;
    int user = (int)(run.next_user++ % wanted.users);
    run.busy[user] = true;
    return user;
}

/* Begin to connect. Return whether it may still succeed; errno tells why not. */
static bool connect_to_server(int socket)
{
    int on = 1, small = SLOW_RECEIVE_OCTETS;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (wanted.script->slow)
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    return !connect(socket, (struct sockaddr *)&wanted.server.name, wanted.server.octets) ||
           errno == EINPROGRESS;
}

static void start_session(struct session *session)
{
    *session = (struct session){.open = true, .user = take_user(), .events = EPOLLIN,
                                .sent = 1, .started_s = now_s()};
    session->quiet_since_s = session->started_s;
    run.started++;
    run.open++;
    run.logging_in++;
    session->socket = socket(wanted.server.name.ss_family,
                             SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->socket < 0)
        die("socket: %s", strerror(errno));
    if (!connect_to_server(session->socket)) {
        fail(session, "connect: %s", strerror(errno));
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
    if (epoll_ctl(run.poll, EPOLL_CTL_ADD, session->socket, &event))
        die("epoll_ctl: %s", strerror(errno));
    if (wanted.starttls) {
        session->answered = 1;
        return;
    }
    begin_tls(session);
    shake_hands(session);
}

static void end_session(struct session *session)
{
    if (session->tls) {
        /* What was not shut down by both sides could not be resumed. */
        SSL_set_shutdown(session->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(session->tls);
    }
    ERR_clear_error();
    close(session->socket);
    run.busy[session->user] = false;
    run.open--;
    run.logging_in -= !session->logged_in;
    run.standing -= session->logged_in && wanted.script->standing;
    session->open = false;
}

static void on_event(struct session *session, uint32_t events)
{
    if (session->stage < HANDSHAKE)
        talk_plainly(session);
    if (session->stage == HANDSHAKE)
        shake_hands(session);
    else if (session->stage >= TALKING && session->stage < OVER) {
        if (events & EPOLLOUT) {
            wait_for(session, EPOLLIN);
            write_commands(session);
        }
        if (events & ~(uint32_t)EPOLLOUT && session->stage != OVER)
            receive(session);
    }
    if (session->stage == OVER)
        end_session(session);
}

/* --- all sessions ---------------------------------------------------------------------------- */

/* Decide whether another session is to begin. */
static bool may_start(void)
{
    const struct script *script = wanted.script;
    if (run.open == wanted.connections || run.errors >= ERRORS_AT_MOST)
        return false;
    if (script->standing)
        return run.started < wanted.connections && run.logging_in < LOGINS_AT_ONCE;
    if (script->once)
        return run.started < wanted.users;
    if (wanted.hold)
        return !run.released;
    if (!wanted.units)
        return now_s() < run.end_s;
    return script->unit == SESSIONS ? run.started < wanted.units
                                    : units_done() < (double)wanted.units;
}

static void start_sessions(void)
{
    for (long i = 0; i < wanted.connections && may_start(); i++)
        if (!run.sessions[i].open) {
            start_session(&run.sessions[i]);
            if (run.sessions[i].stage == OVER)
                end_session(&run.sessions[i]);
        }
}

/* Let the standing sessions go: a download is broken off, the others say QUIT. */
static void let_go(void)
{
    run.released = true;
    for (long i = 0; wanted.script->standing && i < wanted.connections; i++) {
        struct session *session = &run.sessions[i];
        if (!session->open)
            continue;
        /* What is in flight stays what it is; QUIT comes next. */
        if (wanted.script->endless)
            session->transactions = session->sent - first_transaction();
        if (wanted.script->slow)
            session->stage = OVER;
        else if (session->sent == session->answered)
            send_commands(session);
        if (session->stage == OVER)
            end_session(session);
    }
}

static void watch_standard_input(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    /* A file or /dev/null cannot be waited for: it is as good as closed. */
    if (epoll_ctl(run.poll, EPOLL_CTL_ADD, STDIN_FILENO, &event))
        let_go();
}

static void read_standard_input(void)
{
    char ignored[256];
    if (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        return;
    epoll_ctl(run.poll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    let_go();
}

/* Once all standing sessions are logged in (or have failed to): say so and begin to count. */
static void get_ready(void)
{
    run.ready = true;
    run.end_s = now_s() + wanted.seconds;
    if (wanted.script->unit == COMMANDS && !wanted.hold)
        return;
    printf("ready %ld\n", run.standing);
    fflush(stdout);
    watch_standard_input();
}

/* What goes by the clock: slow readers, NOOPs, patience. */
static void tick(double now)
{
    for (long i = 0; i < wanted.connections; i++) {
        struct session *session = &run.sessions[i];
        if (!session->open)
            continue;
        bool waits = session->sent > session->answered || session->stage != TALKING;
        if (session->paused && session->due_s <= now) {
            session->paused = false;
            wait_for(session, EPOLLIN);
            receive(session);
        } else if (!waits)
            send_commands(session);
        else if (now - session->quiet_since_s > PATIENCE_S && now - session->due_s > PATIENCE_S)
            fail(session, "%s: no answer", verb_names[command_at(session, session->answered).verb]);
        if (session->stage == OVER)
            end_session(session);
    }
    bool noops_end = wanted.script->unit == COMMANDS && run.ready && !wanted.hold &&
                     (wanted.units ? run.done[COMMANDS] >= wanted.units : now >= run.end_s);
    if (noops_end && !run.released)
        let_go();
}

static void play(void)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    double tick_s = wanted.script->unit == COMMANDS ? 0.001 : wanted.script->endless ? 0.01 : 1;
    double next_tick_s = now_s();
    run.end_s = next_tick_s + wanted.seconds;
    if (wanted.hold && !wanted.script->standing)
        watch_standard_input();
    for (;;) {
        start_sessions();
        if (wanted.script->standing && !run.ready && !run.logging_in)
            get_ready();
        if (!run.open)
            return;
        double asked_s = wanted.awake ? now_s() : 0;
        int sleep_ms = wanted.awake ? 0 : (int)(tick_s * 1e3);
        int count = epoll_wait(run.poll, events, EVENTS_AT_ONCE, sleep_ms);
        if (wanted.awake && count == 0)
            run.awake_idle_s += now_s() - asked_s;
        for (int i = 0; i < count; i++) {
            struct session *session = events[i].data.ptr;
            if (!session)
                read_standard_input();
            else if (session->open)
                on_event(session, events[i].events);
        }
        double now = now_s();
        if (now >= next_tick_s) {
            tick(now);
            next_tick_s = now + tick_s;
        }
    }
}

/* --- the report ------------------------------------------------------------------------------ */

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Return the nearest-rank percentile of the sorted latencies; 0 of none. */
static double percentile_ms(double share)
{
    if (!run.latencies)
        return 0;
    size_t rank = (size_t)(share * (double)run.latencies + 0.999999);
    return run.latencies_ms[rank ? rank - 1 : 0];
}

/* Print text from outside as a JSON string. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at > 0x7e || *at == '"' || *at == '\\')
            printf("\\u%04x", *at);
        else
            putchar(*at);
    putchar('"');
}

static double cpu_s(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void report(double wall, double cpu)
{
    if (run.latencies)
        qsort(run.latencies_ms, run.latencies, sizeof *run.latencies_ms, by_size);
    printf("{\"script\": \"%s\", \"units\": %.9g, \"sessions\": %ld, \"octets\": %llu, ",
           wanted.script->name, units_done(), run.done[SESSIONS], run.octets);
    double idle_s = wanted.awake ? run.awake_idle_s : wall - cpu;
    printf("\"wall_s\": %.6f, \"cpu_s\": %.6f, \"idle_share\": %.4f, ", wall, cpu, idle_s / wall);
    printf("\"resumed\": %ld, \"errors\": %ld, \"first_error\": ", run.resumed, run.errors);
    print_quoted(run.first_error);
    printf(", \"latency_ms\": {\"median\": %.4f, \"p99\": %.4f, \"max\": %.4f}}\n",
           percentile_ms(0.5), percentile_ms(0.99), percentile_ms(1));
}

/* --- the command line ------------------------------------------------------------------------ */

static const struct script *script_of(const char *name)
{
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (!strcmp(scripts[i].name, name))
            return &scripts[i];
    die("--script knows no \"%s\"", name);
}

static void check_wanted(void)
{
    const char *place = strstr(wanted.user_format, "%d");
    if (!place || strchr(wanted.user_format, '%') != place || strchr(place + 1, '%'))
        die("--user-format must have one %%d and no other %%");
    if (wanted.connections > wanted.users)
        die("--connections %ld needs as many --users: one session each", wanted.connections);
}

/* Read the options into `wanted`; return the authority's file. */
static const char *read_options(int argc, char **argv)
{
    enum { SECONDS = 's', UNITS = 'u' };
    static const struct option options[] = {
        {"host", required_argument, NULL, 'h'},     {"port", required_argument, NULL, 'p'},
        {"ca", required_argument, NULL, 'a'},       {"script", required_argument, NULL, 'c'},
        {"users", required_argument, NULL, 'n'},    {"user-format", required_argument, NULL, 'f'},
        {"password", required_argument, NULL, 'w'}, {"seconds", required_argument, NULL, SECONDS},
        {"units", required_argument, NULL, UNITS},  {"connections", required_argument, NULL, 'm'},
        {"name", required_argument, NULL, 'd'},     {"rate", required_argument, NULL, 'r'},
        {"in-flight", required_argument, NULL, 'i'}, {"awake", no_argument, NULL, 'k'},
        {"starttls", no_argument, NULL, 't'},       {"hold", no_argument, NULL, 'o'},
        {"resume", no_argument, NULL, 'e'},         {0},
    };
    const char *host = "127.0.0.1", *port = NULL, *authority = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        switch (option) {
        case 'h': host = optarg; break;
        case 'p': port = optarg; break;
        case 'a': authority = optarg; break;
        case 'c': wanted.script = script_of(optarg); break;
        case 'n': wanted.users = number_of("users", optarg, 1, 10000000); break;
        case 'f': wanted.user_format = optarg; break;
        case 'w': wanted.password = optarg; break;
        case SECONDS: wanted.seconds = decimal_of("seconds", optarg, 0.01, 86400); break;
        case UNITS: wanted.units = number_of("units", optarg, 1, 1000000000); break;
        case 'm': wanted.connections = number_of("connections", optarg, 1, 1000000); break;
        case 'd': wanted.name = optarg; break;
        case 'r': wanted.octets_per_s = 1024 * decimal_of("rate", optarg, 0.01, 1e9); break;
        case 'i': wanted.in_flight = number_of("in-flight", optarg, 1, IN_FLIGHT_AT_MOST); break;
        case 't': wanted.starttls = true; break;
        case 'o': wanted.hold = true; break;
        case 'e': wanted.resume = true; break;
        case 'k': wanted.awake = true; break;
        default: exit(2);
        }
    }
    if (!port || !authority || !wanted.script || !wanted.password || optind < argc)
        die("load --port N --ca FILE --script NAME --password PW [options]");
    wanted.server = address_of(host, port);
    return authority;
}

static void release_all(void)
{
    for (long i = 0; i < wanted.users; i++)
        SSL_SESSION_free(run.tickets[i]);
    X509_free(run.verified);
    X509_free(run.decoded);
    SSL_CTX_free(run.context);
    free(run.tickets);
    free(run.busy);
    free(run.sessions);
    free(run.latencies_ms);
    close(run.poll);
}

int main(int argc, char **argv)
{
    const char *authority = read_options(argc, argv);
    check_wanted();
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    run.context = client_context(authority);
    run.poll = epoll_create1(EPOLL_CLOEXEC);
    run.sessions = allocate((size_t)wanted.connections, sizeof *run.sessions);
    run.busy = allocate((size_t)wanted.users, sizeof *run.busy);
    run.tickets = allocate((size_t)wanted.users, sizeof *run.tickets);
    double began_s = now_s(), used_s = cpu_s();
    play();
    report(now_s() - began_s, cpu_s() - used_s);
    release_all();
    return run.errors ? 1 : 0;
}
