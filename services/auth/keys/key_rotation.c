#include "key_rotation.h"

#include <stdio.h>

#include "base/error.h"
#include "key_store.h"
#include "keys.h"
#include "service/audit.h"
#include "sys/log.h"
#include "sys/metrics.h"

/*
 * The set is told under the same lock as it is changed. Otherwise a replica that read it before a
 * change could write it over the new one, and services would know a key that was withdrawn.
 */
static const struct cm_metric steps =
        CM_COUNTER("salus_auth_key_steps_total", "Steps in the lives of signing keys");

static void count_step(const char *name)
{
        char labels[40];

        (void)snprintf(labels, sizeof(labels), "step=\"%s\"", name);
        cm_counter_add(cm_metric_labeled(&steps, labels), 1);
}

/* `action` "key.activate": who did it is the service or its operator, not a user. */
static int audit(struct cm_pg_tx *tx, const char *action, struct cm_str id)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        const struct cm_audit_entry entry = { .action = action, .target = id, .outcome = "done" };
        int r;

        cm_audit_params_own(&entry, cm_now(&cm_clock_system), &params);
        r = cm_pg_tx_query(tx, &cm_audit_insert, &params, NULL);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- steps */

static int make(const struct key_rotation *rotation, struct cm_pg_tx *tx, struct cm_arena *arena,
                int state, struct stored_key *key_r)
{
        int r = signing_keys_make(rotation->keys, arena, key_r);

        if (r)
                return r;
        key_r->state = state;
        r = key_store_insert(tx, key_r);
        return r ? r : audit(tx, state == KEY_ACTIVE ? "key.make" : "key.announce", key_r->id);
}

static int activate(const struct key_rotation *rotation, struct cm_pg_tx *tx, struct cm_str id)
{
        int r = key_store_retire(tx, rotation->schedule.grace_us);

        if (!r)
                r = key_store_activate(tx, id);
        return r ? r : audit(tx, "key.activate", id);
}

static int end(struct cm_pg_tx *tx, struct cm_str id)
{
        int r = key_store_close(tx, id, KEY_ENDED);

        return r ? r : audit(tx, "key.end", id);
}

static int do_step(const struct key_rotation *rotation, struct cm_pg_tx *tx, struct cm_arena *arena,
                   enum key_step step, const struct stored_key *which, struct cm_str *id_r)
{
        struct stored_key key = { 0 };
        int r = 0;

        if (step == KEY_STEP_MAKE || step == KEY_STEP_ANNOUNCE)
                r = make(rotation, tx, arena, step == KEY_STEP_MAKE ? KEY_ACTIVE : KEY_ANNOUNCED,
                         &key);
        else if (step == KEY_STEP_ACTIVATE)
                r = activate(rotation, tx, which->id);
        else
                r = end(tx, which->id);
        *id_r = which ? which->id : key.id;
        return r;
}

int key_rotation_step(const struct key_rotation *rotation, struct cm_arena *arena, bool told)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        const struct stored_key *which = NULL;
        enum key_step step = KEY_STEP_NONE;
        struct key_list list;
        struct cm_str id;
        int r = key_store_begin(rotation->pg, &tx);

        if (!r)
                r = key_store_list_in(tx, arena, &list);
        if (!r)
                step = key_rules_next(&list, &rotation->schedule, told, &which);
        if (r || step == KEY_STEP_NONE)
                return r;
        r = do_step(rotation, tx, arena, step, which, &id);
        if (!r)
                r = cm_pg_commit(&tx);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        count_step(key_step_name((int)step));
        cm_log(CM_LOG_INFO, "signing key", CM_F_TEXT("step", key_step_name((int)step)),
               CM_F_STR("kid", id));
        return 0;
}

/* ---- publishing */

static int tell(const struct key_rotation *rotation, struct cm_arena *arena, struct cm_str set)
{
        struct cm_redis_reply reply = { 0 };
        int r = cm_redis_call(rotation->bus, arena, &reply, CM_STR("SET"), CM_STR(KEY_AUTH_JWKS),
                              set, CM_STR_NONE);

        if (!r && reply.kind == CM_REDIS_ERROR) {
                cm_log(CM_LOG_ERROR, "Redis refuses the keys", CM_F_STR("reply", reply.text));
                r = -CM_E_UNAVAILABLE;
        }
        return r ? r : cm_signal_send(rotation->signals, CM_STR("auth.keys"), CM_STR("changed"));
}

int key_rotation_publish(const struct key_rotation *rotation, struct cm_arena *arena)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        CM_CLEANUP(cm_buf_deinit) struct cm_buf set = { 0 };
        struct key_list list;
        int r = key_store_begin(rotation->pg, &tx);

        if (!r)
                r = key_store_list_in(tx, arena, &list);
        if (!r)
                r = signing_keys_write_set(arena, &list, &set);
        if (!r)
                r = tell(rotation, arena, cm_buf_str(&set));
        if (!r)
                r = key_store_told(tx);
        if (!r)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- by command */

static int begin_in(const struct key_rotation *rotation, struct cm_pg_tx *tx,
                    struct cm_arena *arena, struct cm_str *id_r)
{
        const struct stored_key *announced;
        struct stored_key key = { 0 };
        struct key_list list;
        int r = key_store_list_in(tx, arena, &list);

        if (r)
                return r;
        announced = key_rules_find(&list, KEY_ANNOUNCED);
        *id_r = announced ? announced->id : CM_STR_NONE;
        if (announced)
                return KEY_ROTATION_UNDER_WAY;
        if (!key_rules_has_room(&list))
                return KEY_ROTATION_FULL;
        r = make(rotation, tx, arena, KEY_ANNOUNCED, &key);
        *id_r = key.id;
        return r;
}

int key_rotation_begin(const struct key_rotation *rotation, struct cm_arena *arena,
                       struct cm_str *id_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = key_store_begin(rotation->pg, &tx);

        if (!r)
                r = begin_in(rotation, tx, arena, id_r);
        if (r)
                return r;
        r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* Somebody must sign: the key that was announced, though not everybody may have it yet, or a new
 * one. */
static int replace(const struct key_rotation *rotation, struct cm_pg_tx *tx, struct cm_arena *arena,
                   const struct key_list *list, struct cm_str *next_r)
{
        const struct stored_key *announced = key_rules_find(list, KEY_ANNOUNCED);
        struct stored_key key = { 0 };
        int r;

        if (announced)
                r = activate(rotation, tx, announced->id);
        else
                r = make(rotation, tx, arena, KEY_ACTIVE, &key);
        *next_r = announced ? announced->id : key.id;
        return r;
}

static int withdraw_in(const struct key_rotation *rotation, struct cm_pg_tx *tx,
                       struct cm_arena *arena, struct cm_str id, struct cm_str *next_r)
{
        const struct stored_key *found = NULL;
        struct key_list list;
        int r = key_store_list_in(tx, arena, &list);

        for (size_t i = 0; !r && i < list.count; i++)
                if (cm_str_equal(list.keys[i].id, id))
                        found = &list.keys[i];
        if (!r && !found)
                return KEY_ROTATION_UNKNOWN;
        if (!r)
                r = key_store_close(tx, id, KEY_WITHDRAWN);
        if (!r)
                r = audit(tx, "key.withdraw", id);
        if (!r && found->state == KEY_ACTIVE)
                r = replace(rotation, tx, arena, &list, next_r);
        return r;
}

int key_rotation_withdraw(const struct key_rotation *rotation, struct cm_arena *arena,
                          struct cm_str id, struct cm_str *next_r)
{
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r = key_store_begin(rotation->pg, &tx);

        *next_r = CM_STR_NONE;
        if (!r)
                r = withdraw_in(rotation, tx, arena, id, next_r);
        if (r)
                return r;
        r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}
