#pragma once
#include "auth.h"
#include "http/request.h"

/*
 * Requests that are refused before anything is done: by the guard, by a limit, for what is not
 * there or not theirs. They have no effect that a row could be in one transaction with, and whoever
 * sends them needs no account; so they are written as refusal_tally.h says, by
 * SALUS_AUDIT_REFUSALS, in windows of a minute.
 */
struct refused_request {
        const char *action;         /* static; NULL: access.refuse */
        const char *reason;         /* static */
        const char *method;         /* static; NULL: none */
        const struct cm_uuid *user; /* the account that it concerns; NULL: none, or: */
        struct cm_str email_key;    /* whoever has this address, if anybody; may be absent */
        struct cm_str target;       /* absent: the route */
};

/* What goes wrong is logged: the refusal stands in any case. Suspends. */
void refused_request_note(struct cm_request *request, const struct refused_request *refused);
/* The same for what was done to something by id. */
void refused_request_note_on(struct cm_request *request, const char *action, const char *reason,
                             const struct cm_uuid *target);

/* cm_service.refused */
void refused_requests_by_guard(struct cm_request *request, const char *reason);

void refused_requests_start(struct auth *auth);
/* Writes what was counted. */
void refused_requests_stop(struct auth *auth);
