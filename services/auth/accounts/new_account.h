#pragma once
#include "auth.h"
#include "auth_api.h"
#include "http/request.h"
#include "registration_store.h"

/* What the ways of registering share. */

/* The account as it is asked for; nothing is stored. */
struct user new_account(struct cm_request *request, const struct registration *in);

/* With SALUS_EMAIL_VERIFICATION=required: keeps what was asked for until the address is confirmed,
 * asks for the mail, and replies the same to all. Suspends. */
int register_by_mail(struct cm_request *request, struct pending_registration *registration,
                     struct cm_str password) CM_MUST_CHECK;
