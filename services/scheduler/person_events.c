#include "person_events.h"

#include "base/error.h"
#include "events.h"
#include "mail_store.h"
#include "schedule_store.h"
#include "service/user_refs.h"
#include "zone_sweep.h"

static const struct cm_pg_statement keep_contact = {
        .name = "contact_keep",
        .writes = true,
        .sql = "INSERT INTO user_contacts AS c (user_id, email, version)"
               " VALUES ($1::uuid, $2::text, $3::int8) ON CONFLICT (user_id) DO UPDATE"
               " SET email = excluded.email, version = excluded.version"
               " WHERE c.version < excluded.version",
};

static int contact(struct cm_delivery *delivery, const struct user_ref *user)
{
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

        cm_pg_put_uuid(&params, &user->user_id);
        cm_pg_put_text(&params, user->has_contact == CM_PRESENT ? user->contact : CM_STR_NONE);
        cm_pg_put_int8(&params, user->version);
        return cm_pg_tx_query(delivery->tx, &keep_contact, &params, NULL);
}

static const struct cm_pg_statement current_zone = {
        .name = "user_zone_now",
        .sql = "SELECT time_zone FROM user_refs WHERE user_id = $1::uuid",
};

/* Schedules that follow the person go by the zone that counts now, which may be a newer fact's. */
static int follow(struct cm_delivery *delivery, const struct user_ref *user)
{
        struct scheduler *scheduler = delivery->service;
        CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result zone = { 0 };
        struct schedule_array list = { 0 };
        int r;

        cm_pg_put_uuid(&params, &user->user_id);
        r = cm_pg_tx_query(delivery->tx, &current_zone, &params, &zone);
        if (r || zone.rows == 0)
                return r;
        r = schedule_store_lock_followers(scheduler, delivery->tx, delivery->arena, &user->user_id,
                                          &list);
        for (size_t i = 0; r == 0 && i < list.count; i++) {
                struct cm_str now = cm_pg_text(&zone, 0, 0);

                if (cm_str_equal(list.items[i].view.timezone, now))
                        continue;
                list.items[i].view.timezone = cm_arena_str(delivery->arena, now);
                r = zone_sweep_schedule(scheduler, delivery->tx, delivery->arena, &list.items[i],
                                        &user->tenant_id, cm_now(&cm_clock_system));
        }
        return r;
}

/* user.created, user.updated. Runs inside the inbox transaction. */
static int on_user(struct cm_delivery *delivery, const void *fact)
{
        int r = cm_user_ref_apply(delivery, fact);

        if (r == 0)
                r = contact(delivery, fact);
        if (r == 0)
                r = follow(delivery, fact);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- erasure */

/* The queue's rows first, as everybody who changes a schedule takes them. The contact stays as an
 * empty row that no older fact fills. */
static const struct cm_pg_statement erase[] = {
        { .name = "erase_due",
          .writes = true,
          .sql = "DELETE FROM schedule_queue WHERE user_id = $1::uuid" },
        { .name = "erase_schedules",
          .writes = true,
          .sql = "DELETE FROM schedules WHERE user_id = $1::uuid" },
        { .name = "erase_sending",
          .writes = true,
          .sql = "DELETE FROM delivery_queue WHERE user_id = $1::uuid" },
        { .name = "erase_deliveries",
          .writes = true,
          .sql = "DELETE FROM deliveries WHERE user_id = $1::uuid" },
        { .name = "erase_mails",
          .writes = true,
          .sql = "DELETE FROM mails WHERE user_id = $1::uuid" },
        { .name = "erase_occurrences",
          .writes = true,
          .sql = "DELETE FROM occurrences WHERE user_id = $1::uuid" },
        { .name = "erase_contact",
          .writes = true,
          .sql = "INSERT INTO user_contacts AS c (user_id, version)"
                 " VALUES ($1::uuid, 9223372036854775807) ON CONFLICT (user_id) DO UPDATE"
                 " SET email = NULL, version = excluded.version" },
};

/* user.erased. Runs inside the inbox transaction; again has no effect. */
static int on_erased(struct cm_delivery *delivery, const void *fact)
{
        const struct user_erased *erased = fact;
        int r = 0;

        for (size_t i = 0; i < CM_COUNT(erase) && r == 0; i++) {
                CM_CLEANUP(cm_pg_params_deinit) struct cm_pg_params params = { 0 };

                cm_pg_put_uuid(&params, &erased->user_id);
                r = cm_pg_tx_query(delivery->tx, &erase[i], &params, NULL);
        }
        return r > 0 ? -CM_E_DATABASE : r;
}

/* ---- mail about the account */

/* mail.requested. The daemon hears of the row from the database, and sends. */
static int on_mail(struct cm_delivery *delivery, const void *fact)
{
        int r = mail_store_keep(delivery->tx, &delivery->event->subject, fact);

        return r > 0 ? -CM_E_DATABASE : r;
}

const struct cm_subscription scheduler_subscriptions[] = {
        { STREAM_AUTH, EVENT_USER_CREATED, &user_ref_schema, on_user },
        { STREAM_AUTH, EVENT_USER_UPDATED, &user_ref_schema, on_user },
        { STREAM_AUTH, EVENT_USER_ERASED, &user_erased_schema, on_erased },
        { STREAM_AUTH, EVENT_MAIL_REQUESTED, &mail_requested_schema, on_mail },
        { NULL, NULL, NULL, NULL },
};
