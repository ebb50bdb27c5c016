#pragma once
#include "auth.h"

/*
 * The first admin of the default tenant, from ADMIN_EMAIL and ADMIN_PASSWORD. Made when there is
 * no admin, under a lock that all instances share; its first sign-in can do one thing only, choose
 * another password.
 */

/* Outside development nobody runs with the password that is in the source: -CM_E_CONFIG. */
int default_admin_check(const struct auth_settings *settings) CM_MUST_CHECK;
/* Suspends. An address that is somebody else's is logged, and there is no admin then. */
int default_admin_ensure(struct auth *auth) CM_MUST_CHECK;
