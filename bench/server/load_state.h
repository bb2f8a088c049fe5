/* What the load client is asked to play, and what is going on: the scripts, a session, the run.
 *
 * To add a script, add a line to `scripts`; when its sessions do more than ask in order, also look
 * at who reads `standing`, `endless` and `once`. Nothing here talks.
 */
#ifndef LOAD_STATE_H
#define LOAD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "pop3io.h"

/* --- the scripts ----------------------------------------------------------------------------- */

enum verb { NOTHING, GREETING, USER, PASS, STAT, UIDL, LIST, RETR, DELE, NOOP, QUIT };

static const char *const verb_names[] = {"nothing", "greeting", "USER", "PASS", "STAT", "UIDL",
                                         "LIST",    "RETR",     "DELE", "NOOP", "QUIT"};

enum unit { SESSIONS, MESSAGES, MEGABYTES, COMMANDS };

struct script {
    const char *name;
    enum verb opening[4]; /* after USER and PASS */
    enum verb each[3];    /* then for every message */
    bool pipelined;       /* lists and messages are asked for before the answers have come */
    enum unit unit;
    bool once;     /* one session a user, until all had theirs */
    bool standing; /* all sessions log in first and then stay, each with a user of its own */
    bool endless;  /* what is done for each message is done over and over */
    bool slow;     /* reads no faster than --rate */
};

enum {
    LINE_OCTETS = 512, /* RFC 2449 section 4: a status line has at most 512 octets */
    COMMANDS_OCTETS = 4096,
    IN_FLIGHT_AT_MOST = 200, /* commands; they fit into COMMANDS_OCTETS */
    TERMINATOR_OCTETS = 5,
    /* Three records a recv. Below 64 KiB, from where on glibc tidies its heap with each free. */
    READ_AHEAD_OCTETS = 3 * (RECORD_OCTETS + 256),
    /* Standing sessions log in so many at a time: thousands at once would only fill a backlog. */
    LOGINS_AT_ONCE = 16,
    /* Nobody reads more than one error; a server that refuses everybody is left alone. */
    ERRORS_AT_MOST = 100,
    /* A slow reader's: else the kernel takes whole messages in and the server never has to wait. */
    SLOW_RECEIVE_OCTETS = 1 << 16,
};

/* Longer than any server here takes to open 100,000 messages for the first time. */
static const double PATIENCE_S = 120;
static const double NOOP_EVERY_S = 0.02;

static const struct script scripts[] = {
    {.name = "stat", .opening = {STAT}},
    {.name = "fetch", .opening = {STAT, UIDL, LIST}, .each = {RETR}},
    {.name = "pipelined", .opening = {STAT, UIDL, LIST}, .each = {RETR}, .pipelined = true},
    {.name = "poll", .opening = {UIDL}},
    {.name = "retr", .opening = {STAT, UIDL, LIST}, .each = {RETR}, .unit = MEGABYTES},
    {.name = "delete", .opening = {STAT, UIDL}, .each = {RETR, DELE}, .pipelined = true,
     .unit = MESSAGES, .once = true},
    {.name = "latency"},
    {.name = "idle", .standing = true},
    {.name = "download", .opening = {STAT}, .each = {RETR}, .unit = MEGABYTES,
     .standing = true, .endless = true, .slow = true},
    {.name = "noop", .each = {NOOP}, .unit = COMMANDS, .standing = true, .endless = true},
};

/* --- what is going on ------------------------------------------------------------------------ */

enum stage { PLAIN_GREETING, PLAIN_STLS, HANDSHAKE, TALKING, CLOSING, OVER };

struct session {
    SSL *tls;
    int socket, user;
    enum stage stage;
    uint32_t events;
    bool open, logged_in, in_body, paused;
    /* The commands of a session are numbered, and which one has a number follows from the script:
     * so two numbers are all that is to be known about what is in flight. */
    unsigned long sent, answered, transactions;
    long messages;
    double started_s, quiet_since_s, due_s, asked_s;
    size_t line_octets, commands_start, commands_end, tail_octets;
    char tail[TERMINATOR_OCTETS - 1];
    char line[LINE_OCTETS];
    char commands[COMMANDS_OCTETS];
};

static struct {
    struct address server;
    const struct script *script;
    const char *name, *user_format, *password;
    long users, connections, units, in_flight;
    double seconds, octets_per_s;
    bool starttls, resume, hold, awake;
} wanted = {.name = "mail.example.com",
            .user_format = "user%d@mail.example.com",
            .users = 200,
            .connections = 8,
            .in_flight = 16,
            .seconds = 5,
            .octets_per_s = 64 * 1024};

static struct {
    int poll;
    SSL_CTX *context;
    X509 *decoded, *verified;
    SSL_SESSION **tickets; /* one a user */
    bool *busy;            /* one a user */
    struct session *sessions;
    long next_user, started, open, logging_in, standing;
    bool ready, released;
    double end_s, awake_idle_s;
    long done[COMMANDS + 1], resumed, errors;
    unsigned long long octets, body_octets;
    char first_error[LINE_OCTETS + 128];
    double *latencies_ms;
    size_t latencies, latencies_room;
} run;

static double later_of(double a_s, double b_s)
{
    return a_s > b_s ? a_s : b_s;
}

static double units_done(void)
{
    enum unit unit = wanted.script->unit;
    return unit == MEGABYTES ? (double)run.body_octets / 1e6 : (double)run.done[unit];
}

/* Note that a session went wrong; whoever called must not go on with it. */
__attribute__((format(printf, 2, 3)))
static void fail(struct session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!run.errors++) {
        int length = snprintf(run.first_error, sizeof run.first_error, "user %d: ", session->user);
        vsnprintf(run.first_error + length, sizeof run.first_error - (size_t)length, format,
                  arguments);
    }
    va_end(arguments);
    session->stage = OVER;
}

static void note_latency(double since_s)
{
    if (run.latencies == run.latencies_room) {
        run.latencies_room = 2 * run.latencies_room + 1024;
        run.latencies_ms = reallocate(run.latencies_ms,
                                      run.latencies_room * sizeof *run.latencies_ms);
    }
    run.latencies_ms[run.latencies++] = (now_s() - since_s) * 1e3;
}

#endif
