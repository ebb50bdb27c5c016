#include "account_store.h"
#include "announcements.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "sys/log.h"

static void set_constants(struct auth *auth)
{
        const struct auth_settings *settings = auth->settings;
        struct cm_str pepper = cm_str_from(settings->password_pepper);

        token_chain_key_derive(&auth->chain_key, pepper);
        auth->login_limit = (struct login_limit){
                .per_account = settings->login_account_limit,
                .per_network = settings->login_network_limit,
                .window_us = settings->login_window_us,
                .secret = pepper,
        };
        auth->policy = (struct cm_token_policy){
                .issuer = settings->service.token_issuer,
                .audience = settings->service.token_audience,
        };
}

static int make_passwords(struct auth *auth)
{
        const struct passwords_config config = {
                .pepper = cm_str_from(auth->settings->password_pepper),
                .cost = (int)auth->settings->bcrypt_cost,
                .threads = (size_t)auth->settings->hash_threads,
                .max_queued = (size_t)auth->settings->hash_queue,
        };

        return passwords_new(&config, &auth->passwords);
}

static int read_contact_keys(struct auth *auth)
{
        const char *text = auth->settings->contact_keys;
        int r = text ? cm_seal_keys_parse(cm_str_from(text), &auth->contact_keys) : 0;

        if (r)
                cm_log(CM_LOG_ERROR, "keys cannot be read",
                       CM_F_TEXT("setting", "SALUS_CONTACT_KEYS"));
        return r ? -CM_E_CONFIG : 0;
}

int auth_worker_start(struct cm_worker *worker)
{
        struct auth *auth = CM_NEW(struct auth);
        int r;

        worker->object = auth;
        auth->worker = worker;
        cm_group_init(&auth->announcing);
        cm_group_init(&auth->watching);
        auth->settings = worker->settings;
        set_constants(auth);
        r = cm_seal_keys_parse(cm_str_from(auth->settings->seal_keys), &auth->seal_keys);
        if (!r)
                r = read_contact_keys(auth);
        if (!r)
                r = make_passwords(auth);
        if (!r)
                r = account_store_default_tenant(worker->pg, &auth->default_tenant);
        if (!r)
                r = signing_keys_load(worker->pg, auth->settings->seal_keys, &auth->keys);
        if (!r)
                r = cm_worker_set_keys(worker, signing_keys_set(auth->keys));
        if (!r)
                announcements_start(auth);
        return r;
}

void auth_worker_stop(struct cm_worker *worker)
{
        struct auth *auth = worker->object;

        if (!auth)
                return;
        announcements_stop(auth);
        passwords_free(&auth->passwords);
        signing_keys_free(&auth->keys);
        cm_seal_keys_free(&auth->seal_keys);
        cm_seal_keys_free(&auth->contact_keys);
        cm_wipe(auth, sizeof(*auth));
        cm_free(auth);
        worker->object = NULL;
}
