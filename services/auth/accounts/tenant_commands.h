#pragma once
#include "service/service.h"

/*
 * Tenants are an operator's to make: nobody signs in above them, so there is no route. Commands of
 * the daemon; they return the exit status.
 */
int tenant_list_command(struct cm_worker *worker, const char *argument);
/* "NAME <ADDRESS>": a tenant and its first admin, who chooses a password by way of a reset. */
int tenant_add_command(struct cm_worker *worker, const char *argument);
