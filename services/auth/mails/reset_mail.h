#pragma once
#include "http/request.h"
#include "store/pg.h"

/*
 * Inside the transaction of an admin's act: the mail with which its owner sets the password of an
 * account, as after /v1/auth/password/forgot. Nothing without SALUS_CONTACT_KEYS, or when the
 * account is not active. The transaction acts for the admin (ADMIN_SCOPE) before and after.
 * Suspends. 0 or an error.
 */
int reset_mail_add(struct cm_request *request, struct cm_pg_tx *tx,
                   const struct cm_uuid *user_id) CM_MUST_CHECK;
