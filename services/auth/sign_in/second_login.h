#pragma once
#include "accounts/account_store.h"
#include "http/request.h"

/* The password was right and the account has a second factor: answers with a ticket for the second
 * step (SecondFactorNeeded). Suspends. */
int second_login_ask(struct cm_request *request, const struct login *in,
                     const struct credentials *credentials) CM_MUST_CHECK;
