/* One session's talk: which command is next, what an answer means, where a body ends.
 *
 * It works from TALKING to OVER; connecting, the handshake and the clock are its caller's. A
 * session that went wrong is OVER with its reason noted, and nobody goes on with it.
 */
#ifndef LOAD_TALK_H
#define LOAD_TALK_H

#include <limits.h>
#include <sys/epoll.h>

#include "load_state.h"

/* --- commands -------------------------------------------------------------------------------- */

struct command {
    enum verb verb;
    unsigned long number; /* of the message */
};

static unsigned long length_of(const enum verb *verbs)
{
    unsigned long length = 0;
    while (verbs[length])
        length++;
    return length;
}

static const enum verb login[] = {GREETING, USER, PASS, NOTHING};

/* Return the place of the first command that is about a message. */
static unsigned long first_transaction(void)
{
    return length_of(login) + length_of(wanted.script->opening);
}

/* Return the command at a place in a session: the login, the opening, the messages, QUIT. Those of
 * the messages are known once STAT has been answered. */
static struct command command_at(const struct session *session, unsigned long place)
{
    const enum verb *opening = wanted.script->opening, *each = wanted.script->each;
    if (place < length_of(login))
        return (struct command){login[place], 0};
    if (place < first_transaction())
        return (struct command){opening[place - length_of(login)], 0};
    place -= first_transaction();
    if (place >= session->transactions)
        return (struct command){QUIT, 0};
    unsigned long turn = place / length_of(each);
    unsigned long messages = session->messages ? (unsigned long)session->messages : 1;
    return (struct command){each[place % length_of(each)], turn % messages + 1};
}

static bool may_share_flight(enum verb before, enum verb verb)
{
    bool lists = before == UIDL || before == LIST, bodies = before == RETR || before == DELE;
    return (lists && (verb == UIDL || verb == LIST)) || (bodies && (verb == RETR || verb == DELE));
}

/* Decide whether the next command may leave now. */
static bool may_send(const struct session *session)
{
    enum verb verb = command_at(session, session->sent).verb;
    unsigned long in_flight = session->sent - session->answered;
    if (session->stage != TALKING || in_flight >= (unsigned long)wanted.in_flight)
        return false;
    if (in_flight)
        return wanted.script->pipelined &&
               may_share_flight(command_at(session, session->sent - 1).verb, verb);
    if (verb == QUIT && wanted.script->standing)
        return run.released;
    return verb != NOOP || now_s() >= session->due_s;
}

/* Write a user's name: the format, with the number in the place of %d. */
static int write_user(char *line, size_t room, int user)
{
    const char *place = strstr(wanted.user_format, "%d");
    return snprintf(line, room, "USER %.*s%d%s\r\n", (int)(place - wanted.user_format),
                    wanted.user_format, user, place + 2);
}

static void append_command(struct session *session, struct command command)
{
    char *line = session->commands + session->commands_end;
    size_t room = sizeof session->commands - session->commands_end;
    int length;
    if (command.verb == USER)
        length = write_user(line, room, session->user);
    else if (command.verb == PASS)
        length = snprintf(line, room, "PASS %s\r\n", wanted.password);
    else if (command.verb == RETR || command.verb == DELE)
        length = snprintf(line, room, "%s %lu\r\n", verb_names[command.verb], command.number);
    else
        length = snprintf(line, room, "%s\r\n", verb_names[command.verb]);
    if (length < 0 || (size_t)length >= room)
        die("a command of more than %d octets", COMMANDS_OCTETS);
    session->commands_end += (size_t)length;
}

/* --- one session's connection ---------------------------------------------------------------- */

static void wait_for(struct session *session, uint32_t events)
{
    if (session->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = session};
    if (epoll_ctl(run.poll, EPOLL_CTL_MOD, session->socket, &event))
        die("epoll_ctl: %s", strerror(errno));
    session->events = events;
}

/* Write the commands that wait, all in one record. */
static void write_commands(struct session *session)
{
    while (session->commands_start < session->commands_end) {
        int sent = SSL_write(session->tls, session->commands + session->commands_start,
                             (int)(session->commands_end - session->commands_start));
        if (sent <= 0) {
            if (SSL_get_error(session->tls, sent) == SSL_ERROR_WANT_WRITE)
                wait_for(session, EPOLLIN | EPOLLOUT);
            else
                fail(session, "cannot write: %s", tls_reason());
            return;
        }
        session->commands_start += (size_t)sent;
    }
    session->commands_start = session->commands_end = 0;
}

/* Send what the script lets go now. */
static void send_commands(struct session *session)
{
    if (session->commands_end)
        return;
    if (session->sent == session->answered)
        session->quiet_since_s = now_s();
    while (may_send(session)) {
        struct command command = command_at(session, session->sent);
        append_command(session, command);
        session->sent++;
        if (command.verb == NOOP) {
            session->asked_s = now_s();
            session->due_s = later_of(session->due_s + NOOP_EVERY_S, session->asked_s);
        }
    }
    if (session->commands_end)
        write_commands(session);
}

/* --- answers --------------------------------------------------------------------------------- */

/* Act on a whole answer, body and all. */
static void on_answer(struct session *session)
{
    enum verb verb = command_at(session, session->answered).verb;
    session->answered++;
    switch (verb) {
    case PASS:
        session->logged_in = true;
        run.logging_in--;
        run.standing += wanted.script->standing;
        if (wanted.script->each[0] == NOOP) {
            long place = session - run.sessions;
            session->due_s = now_s() + NOOP_EVERY_S * (double)place / (double)wanted.connections;
            session->transactions = ULONG_MAX;
        } else
            note_latency(session->started_s);
        break;
    case NOOP:
        run.done[COMMANDS] += run.ready;
        if (run.ready)
            note_latency(session->asked_s);
        break;
    case QUIT:
        session->stage = CLOSING;
        break;
    default:
        break;
    }
}

/* Take the number of messages from the answer to STAT. */
static bool take_messages(struct session *session)
{
    if (sscanf(session->line, "+OK %ld", &session->messages) != 1 || session->messages < 0) {
        fail(session, "STAT: %s", session->line);
        return false;
    }
    if (wanted.script->endless && !session->messages) {
        fail(session, "STAT: no message to download");
        return false;
    }
    session->transactions = wanted.script->endless ? ULONG_MAX
                            : (unsigned long)session->messages * length_of(wanted.script->each);
    return true;
}

static void on_status(struct session *session)
{
    enum verb verb = command_at(session, session->answered).verb;
    if (strncmp(session->line, "+OK", 3)) {
        fail(session, "%s: %s", verb_names[verb], session->line);
        return;
    }
    if (verb == STAT && !take_messages(session))
        return;
    if (verb == UIDL || verb == LIST || verb == RETR) {
        session->in_body = true;
        /* An empty body's terminator begins with the end of the status line. */
        session->tail_octets = 2;
        memcpy(session->tail, "\r\n", 2);
    } else
        on_answer(session);
}

/* Take octets of a status line. Return how many. */
static size_t take_line(struct session *session, const char *data, size_t count)
{
    const char *end = memchr(data, '\n', count);
    size_t used = end ? (size_t)(end + 1 - data) : count;
    if (session->line_octets + used >= LINE_OCTETS) {
        fail(session, "a status line of more than %d octets", LINE_OCTETS);
        return used;
    }
    memcpy(session->line + session->line_octets, data, used);
    session->line_octets += used;
    if (end) {
        session->line[session->line_octets] = '\0';
        session->line[strcspn(session->line, "\r\n")] = '\0';
        session->line_octets = 0;
        on_status(session);
    }
    return used;
}

/* Keep the last octets seen: the next piece may begin within the terminator. */
static void keep_tail(struct session *session, const char *data, size_t count)
{
    size_t room = sizeof session->tail, kept = session->tail_octets;
    if (count >= room) {
        memcpy(session->tail, data + count - room, room);
        session->tail_octets = room;
        return;
    }
    size_t old = kept + count > room ? room - count : kept;
    memmove(session->tail, session->tail + kept - old, old);
    memcpy(session->tail + old, data, count);
    session->tail_octets = old + count;
}

/* Return how many octets of this piece belong to the body, terminator and all; 0 when it does not
 * end here. With one command in flight it can only end where the piece does. */
static size_t body_end(const struct session *session, const char *data, size_t count)
{
    static const char terminator[] = "\r\n.\r\n";
    char edge[2 * sizeof session->tail];
    bool alone = session->sent - session->answered == 1;
    if (alone && count >= TERMINATOR_OCTETS)
        return memcmp(data + count - TERMINATOR_OCTETS, terminator, TERMINATOR_OCTETS) ? 0 : count;
    size_t before = session->tail_octets;
    size_t after = count < sizeof session->tail ? count : sizeof session->tail;
    memcpy(edge, session->tail, before);
    memcpy(edge + before, data, after);
    const char *found = memmem(edge, before + after, terminator, TERMINATOR_OCTETS);
    if (found)
        return (size_t)(found - edge) + TERMINATOR_OCTETS - before;
    found = memmem(data, count, terminator, TERMINATOR_OCTETS);
    return found ? (size_t)(found - data) + TERMINATOR_OCTETS : 0;
}

/* Take octets of a body. Return how many. */
static size_t take_body(struct session *session, const char *data, size_t count)
{
    size_t end = body_end(session, data, count), used = end ? end : count;
    if (command_at(session, session->answered).verb == RETR)
        run.body_octets += used;
    if (end) {
        session->in_body = false;
        on_answer(session);
    } else
        keep_tail(session, data, count);
    return used;
}

static void take(struct session *session, const char *data, size_t count)
{
    run.octets += count;
    while (count && session->stage != OVER) {
        if (session->answered == session->sent) {
            fail(session, "an answer without a command: %.*s", (int)count, data);
            return;
        }
        size_t used = session->in_body ? take_body(session, data, count)
                                       : take_line(session, data, count);
        data += used;
        count -= used;
    }
}

/* The other side has closed, or the connection broke. */
static void on_end(struct session *session, int error)
{
    const char *where = verb_names[command_at(session, session->answered).verb];
    /* Some servers close without close_notify: after the answer to QUIT nothing can be cut off. */
    if (session->stage == CLOSING) {
        run.done[SESSIONS]++;
        run.done[MESSAGES] += session->messages;
        session->stage = OVER;
    } else if (session->answered == session->sent)
        fail(session, "closed while nothing was asked");
    else
        fail(session, "%s: %s", where, error == SSL_ERROR_ZERO_RETURN ? "closed" : tls_reason());
}

/* Read what has come, answer by answer; a slow reader takes one record and then waits. */
static void receive(struct session *session)
{
    static char data[RECORD_OCTETS];
    do {
        int got = SSL_read(session->tls, data, sizeof data);
        if (got <= 0) {
            int error = SSL_get_error(session->tls, got);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                on_end(session, error);
            return;
        }
        session->quiet_since_s = now_s();
        take(session, data, (size_t)got);
        if (session->stage == TALKING)
            send_commands(session);
        if (wanted.script->slow && session->messages) {
            session->due_s = session->quiet_since_s + got / wanted.octets_per_s;
            session->paused = true;
            wait_for(session, 0);
            return;
        }
    } while (session->stage != OVER && SSL_has_pending(session->tls));
}

#endif
