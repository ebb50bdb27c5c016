#pragma once
#include "http/request.h"
#include "store/pg.h"

/*
 * The audit log: one row for each operation that matters, good or bad, in the same transaction as
 * its effect (audit.up.sql). Address, user agent, request id and actor come from the request.
 * audit_seal.h chains the rows, audit_list.h reads them.
 */
struct cm_audit_entry {
        const struct cm_uuid *actor; /* NULL: the request's user; nobody when there is none */
        const struct cm_uuid *user;  /* the account that it concerns; NULL: none */
        const char *action;          /* "session.create" */
        struct cm_str target;        /* what it was done to, by id; may be absent */
        const char *outcome;         /* "done", "refused" */
        const char *method;          /* "password", "refresh", "token"; may be NULL */
        const char *reason;          /* may be NULL */
};

/* What of a request goes into its rows; in its arena. */
struct cm_audit_context {
        cm_time at;
        struct cm_str ip;
        struct cm_str user_agent;
        struct cm_str request_id;
};

/* As an item of a flight: the statement with its parameters. */
extern const struct cm_pg_statement cm_audit_insert;
void cm_audit_params(struct cm_request *request, const struct cm_audit_entry *entry,
                     struct cm_pg_params *params);
/* The same of a request that is over: nobody's, if entry->actor is NULL. */
void cm_audit_params_of(const struct cm_audit_entry *entry, const struct cm_audit_context *context,
                        struct cm_pg_params *params);
/* Of what no request caused: the service by itself, or a command of its operator. */
void cm_audit_params_own(const struct cm_audit_entry *entry, cm_time now,
                         struct cm_pg_params *params);

struct cm_audit_context cm_audit_context(struct cm_request *request);
/* For a statement that writes the row beside its effect: the four in this order, as parameters. */
void cm_audit_context_params(struct cm_request *request, struct cm_pg_params *params);
