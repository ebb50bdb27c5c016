#include <string.h>

#include "accounts/account_store.h"
#include "accounts/default_admin.h"
#include "announcements.h"
#include "audit/refused_requests.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/text.h"
#include "keys/key_keeper.h"
#include "sessions/session_store_refresh.h"
#include "sys/log.h"

static struct cm_str oldest_pepper(const struct auth_settings *settings)
{
        struct cm_str oldest = cm_str_from(settings->password_pepper);
        struct cm_str before = cm_str_from(settings->password_peppers_before);

        while (cm_str_split(&before, ',', &oldest))
                ;
        return oldest;
}

static void set_constants(struct auth *auth)
{
        const struct auth_settings *settings = auth->settings;

        auth->secret = oldest_pepper(settings);
        token_chain_key_derive(&auth->chain_key, auth->secret);
        auth->login_limit = (struct login_limit){
                .per_account = settings->login_account_limit,
                .per_network = settings->login_network_limit,
                .window_us = settings->login_window_us,
                .secret = auth->secret,
        };
        auth->policy = (struct cm_token_policy){
                .issuer = settings->service.token_issuer,
                .audience = settings->service.token_audience,
        };
}

static int read_peppers(const struct auth_settings *settings, struct passwords_config *config)
{
        struct cm_str before = cm_str_from(settings->password_peppers_before);
        struct cm_str pepper;

        config->peppers[config->pepper_count++] = cm_str_from(settings->password_pepper);
        while (cm_str_split(&before, ',', &pepper)) {
                if (pepper.len < 32 || config->pepper_count == PASSWORDS_MAX_PEPPERS) {
                        cm_log(CM_LOG_ERROR, "too short a pepper, or more than seven",
                               CM_F_TEXT("setting", "SALUS_PASSWORD_PEPPERS_BEFORE"));
                        return -CM_E_CONFIG;
                }
                config->peppers[config->pepper_count++] = pepper;
        }
        return 0;
}

static int make_passwords(struct auth *auth)
{
        struct passwords_config config = {
                .cost = (int)auth->settings->bcrypt_cost,
                .max_memory = auth->settings->imported_hash_memory,
                .threads = (size_t)auth->settings->hash_threads,
                .max_queued = (size_t)auth->settings->hash_queue,
        };
        int r = read_peppers(auth->settings, &config);

        return r ? r : passwords_new(&config, &auth->passwords);
}

/* A list that is named and cannot be read is a mistake; none at all is the operator's choice. */
static int read_common_passwords(struct auth *auth)
{
        const char *path = auth->settings->common_passwords;
        int r;

        if (!path) {
                if (!auth->worker->index)
                        cm_log(CM_LOG_WARN, "no list of common passwords: any may be chosen",
                               CM_F_TEXT("setting", "SALUS_COMMON_PASSWORDS"));
                return 0;
        }
        r = common_passwords_load(path, (size_t)auth->settings->common_passwords_max,
                                  &auth->common);
        if (!r && !auth->worker->index)
                cm_log(CM_LOG_INFO, "common passwords are known",
                       CM_F_INT("count", (int64_t)common_passwords_count(auth->common)));
        return r ? -CM_E_CONFIG : 0;
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

static int refuse(const char *setting)
{
        cm_log(CM_LOG_ERROR, "a setting cannot be used", CM_F_TEXT("setting", setting));
        return -CM_E_CONFIG;
}

/* The place of a word among `names`, or -1. */
static int place_of(const char *word, const char *const names[3])
{
        for (int i = 0; i < 3; i++)
                if (strcmp(word, names[i]) == 0)
                        return i;
        return -1;
}

/* Codes travel in links, so what carries them is encrypted, except on this machine. */
static bool is_app_url(struct cm_str url)
{
        struct cm_str local = CM_STR("http://127.0.0.1"), host = CM_STR("http://localhost");

        return cm_uri_is_valid(url) && url.data[url.len - 1] != '/' &&
               (cm_str_starts(url, CM_STR("https://")) || cm_str_starts(url, local) ||
                cm_str_starts(url, host));
}

static int read_registration(struct auth *auth)
{
        static const char *const registrations[] = { "open", "invitation", "closed" };
        static const char *const verifications[] = { "required", "optional", "off" };
        const struct auth_settings *settings = auth->settings;

        auth->registration = place_of(settings->registration, registrations);
        auth->verification = place_of(settings->email_verification, verifications);
        if (auth->registration < 0)
                return refuse("SALUS_REGISTRATION");
        if (auth->verification < 0)
                return refuse("SALUS_EMAIL_VERIFICATION");
        if (auth->verification != VERIFICATION_OFF && !auth->contact_keys) {
                cm_log(CM_LOG_ERROR, "addresses can only be confirmed with SALUS_CONTACT_KEYS");
                return refuse("SALUS_EMAIL_VERIFICATION");
        }
        if (settings->app_url && !is_app_url(cm_str_from(settings->app_url)))
                return refuse("SALUS_APP_URL");
        return 0;
}

static int start_sealer(struct auth *auth)
{
        const struct auth_settings *settings = auth->settings;
        struct cm_sign_key key;
        const struct cm_audit_seal_config config = {
                .key = &key,
                .interval_us = settings->audit_seal_every_us,
                .keep_us = settings->audit_retention_us,
        };
        int r;

        if (auth->worker->index != 0)
                return 0;
        cm_audit_key(&key, cm_str_from(settings->password_pepper));
        r = cm_audit_sealer_start(auth->worker->pg, &config, &auth->sealer);
        cm_wipe(&key, sizeof(key));
        return r;
}

int auth_worker_start(struct cm_worker *worker)
{
        struct auth *auth = CM_NEW(struct auth);
        int r;

        worker->object = auth;
        auth->worker = worker;
        cm_group_init(&auth->announcing);
        cm_group_init(&auth->keeping_keys);
        cm_cond_init(&auth->keys_news);
        auth->settings = worker->settings;
        refused_requests_start(auth);
        set_constants(auth);
        r = default_admin_check(auth->settings);
        if (!r)
                r = cm_seal_keys_parse(cm_str_from(auth->settings->seal_keys), &auth->seal_keys);
        if (!r)
                r = read_contact_keys(auth);
        if (!r)
                r = read_registration(auth);
        if (!r)
                r = make_passwords(auth);
        if (!r)
                r = read_common_passwords(auth);
        if (!r)
                r = account_store_default_tenant(worker->pg, &auth->default_tenant);
        if (!r)
                r = default_admin_ensure(auth);
        if (!r)
                r = key_keeper_load(auth);
        if (!r)
                r = session_refresh_new(worker->pg, auth->settings->refresh_grace_us,
                                        auth->settings->refresh_token_life_us, &auth->refreshes);
        if (!r)
                r = start_sealer(auth);
        if (r)
                return r;
        announcements_start(auth);
        key_keeper_start(auth);
        return 0;
}

void auth_worker_stop(struct cm_worker *worker)
{
        struct auth *auth = worker->object;

        if (!auth)
                return;
        key_keeper_stop(auth);
        refused_requests_stop(auth);
        cm_audit_sealer_stop(&auth->sealer);
        announcements_stop(auth);
        session_refresh_free(&auth->refreshes);
        passwords_free(&auth->passwords);
        common_passwords_free(&auth->common);
        signing_keys_free(&auth->keys);
        cm_seal_keys_free(&auth->seal_keys);
        cm_seal_keys_free(&auth->contact_keys);
        cm_wipe(auth, sizeof(*auth));
        cm_free(auth);
        worker->object = NULL;
}
