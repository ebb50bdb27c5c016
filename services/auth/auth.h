#pragma once
#include "codec/seal.h"
#include "keys/signing_keys.h"
#include "passwords/common_passwords.h"
#include "passwords/passwords.h"
#include "service/audit_seal.h"
#include "service/service.h"
#include "sessions/token_chain.h"
#include "settings.h"
#include "sign_in/login_limit.h"
#include "sys/fiber.h"

enum registration_mode { REGISTRATION_OPEN, REGISTRATION_BY_INVITATION, REGISTRATION_CLOSED };
enum verification_mode { VERIFICATION_REQUIRED, VERIFICATION_OPTIONAL, VERIFICATION_OFF };

/* What a worker's handlers share. */
struct auth {
        const struct auth_settings *settings;
        struct cm_worker *worker;
        struct passwords *passwords;
        struct common_passwords *common; /* NULL: no list */
        struct signing_keys *keys;
        struct session_refresh *refreshes;
        /* The oldest pepper: keys what a rotation of peppers must not end, refresh tokens and
         * recovery codes. A view into the settings. */
        struct cm_str secret;
        struct token_chain_key chain_key;
        struct login_limit login_limit;
        struct cm_token_policy policy;
        struct cm_uuid default_tenant;
        struct cm_seal_keys *seal_keys;
        struct cm_seal_keys *contact_keys; /* NULL: facts carry no address, nobody gets mail */
        int registration;                  /* enum registration_mode */
        int verification;                  /* enum verification_mode */
        struct cm_group announcing;        /* fibers of announcements.c */
        bool announcing_all, announce_again;
        struct cm_group keeping_keys; /* the fiber of key_keeper.c, what wakes it */
        struct cm_cond keys_news;
        bool keys_have_news;
        struct refusal_tally *refusals; /* of this minute, refused_requests.c */
        struct cm_group refusing;
        struct cm_audit_sealer *sealer; /* the first worker's */
};

int auth_worker_start(struct cm_worker *worker) CM_MUST_CHECK;
void auth_worker_stop(struct cm_worker *worker);
