#pragma once

/*
 * The error model. A fallible function returns an int that must be checked:
 *   0          done
 *   negative   -enum cm_error: machinery failed, callers pass it up
 *   positive   an outcome from the module's own enum, which the direct caller handles
 */
enum cm_error {
        CM_E_DEADLINE = 1, /* the fiber's deadline passed; nothing was changed */
        CM_E_CANCELLED,    /* the fiber was cancelled (drain, client gone) */
        CM_E_UNAVAILABLE,  /* a dependency is not reachable; nothing was changed */
        CM_E_UNCERTAIN,    /* sent, but the answer was lost: it may or may not have happened */
        CM_E_OVERLOAD,     /* a queue, pool or lane is full */
        CM_E_TOO_LARGE,    /* more than a configured limit allows */
        CM_E_MALFORMED,    /* bytes from outside that do not parse */
        CM_E_PROTOCOL,     /* a peer or server broke its protocol */
        CM_E_DATABASE,     /* the database refused a statement of ours: our bug or its schema */
        CM_E_IO,           /* file or socket error; errno was logged */
        CM_E_CONFIG,       /* settings that cannot work */
        CM_E_INTERNAL,     /* anything else that is our own fault */
        CM_E_MAX
};

/* A stable, lower-case name ("deadline") for logs and metrics; accepts either sign. */
const char *cm_error_name(int error);
