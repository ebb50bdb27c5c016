#pragma once
#include "http/request.h"
#include "service/audit.h"
#include "store/pg.h"

/* What auth writes into the audit log: parameters of cm_audit_insert. Refreshes and the ends of
 * sessions are written by the statements that do them (session_store_refresh.c,
 * session_store_own.c). */

void audit_account_created(struct cm_request *request, const struct cm_uuid *user_id,
                           struct cm_pg_params *params);
void audit_account_changed(struct cm_request *request, const struct cm_uuid *user_id,
                           struct cm_pg_params *params);
/* `action`: "account.deactivate", "account.delete". By its owner, who has given the password. */
void audit_account_closed(struct cm_request *request, const struct cm_uuid *user_id,
                          const char *action, struct cm_pg_params *params);
/* user_id NULL: there is no such account; refusal NULL: it succeeded. */
void audit_login(struct cm_request *request, const struct cm_uuid *user_id, const char *refusal,
                 struct cm_pg_params *params);
/* A proof of who somebody is, beside the password of a login: `action` says which and what for. */
void audit_proof(struct cm_request *request, const struct cm_uuid *user_id, const char *action,
                 const char *refusal, struct cm_pg_params *params);
/* A refresh token that was used before. */
void audit_refresh_refused(struct cm_request *request, const struct cm_uuid *user_id,
                           const struct cm_uuid *session_id, const char *reason,
                           struct cm_pg_params *params);
/* Somebody asked for a code by mail; `reason` NULL: it is sent. */
void audit_code_mail(struct cm_request *request, const char *action, const struct cm_uuid *subject,
                     const char *reason, struct cm_pg_params *params);
/* Something was done to an account by whoever had its code: email.verify, password.reset. */
void audit_by_code(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                   struct cm_pg_params *params);
void audit_invited(struct cm_request *request, const struct cm_uuid *invitation,
                   struct cm_pg_params *params);
/* An act of an admin or a machine; `user_id`: the account that it concerns, NULL for none;
 * `reason`, what they said of it, may be absent. */
void audit_admin_on(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                    struct cm_str target, struct cm_str reason, struct cm_pg_params *params);
void audit_admin(struct cm_request *request, const char *action, const struct cm_uuid *user_id,
                 const struct cm_uuid *target, struct cm_str reason, struct cm_pg_params *params);
/* A machine was given a token. */
void audit_client_token(struct cm_request *request, const struct cm_uuid *client,
                        struct cm_pg_params *params);
void audit_password_changed(struct cm_request *request, const struct cm_uuid *user_id,
                            struct cm_pg_params *params);
/* An admin looked at the log; `what` describes the search. */
void audit_log_read(struct cm_request *request, const struct cm_uuid *user_id, struct cm_str what,
                    struct cm_pg_params *params);

/* A row of what no request caused, in the transaction of its effect: `entry` but for its target and
 * outcome. 0 or an error. Suspends. */
int audit_own(struct cm_pg_tx *tx, struct cm_arena *arena, const struct cm_audit_entry *entry,
              const struct cm_uuid *target, cm_time now) CM_MUST_CHECK;
