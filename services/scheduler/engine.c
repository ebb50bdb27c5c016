#include "engine.h"

#include "base/error.h"
#include "base/mem.h"
#include "due_store.h"
#include "http/idempotency.h"
#include "mail_sender.h"
#include "retention.h"
#include "schedule_store.h"
#include "sender.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "zone_sweep.h"

enum { MAX_CLAIM = 100 };
#define LONGEST_SLEEP  (30 * CM_SECOND) /* should the database's word get lost */
#define LEAST_PATIENCE (CM_SECOND / 4)
#define MAX_PATIENCE   (5 * CM_SECOND)
#define STEP_TIME      (30 * CM_SECOND)
#define FAREWELL       (3 * CM_SECOND)
#define SWEEP_EVERY    CM_MINUTE
#define TIDY_EVERY     CM_HOUR

struct engine {
        struct scheduler *scheduler;
        struct sender sender;
        struct cm_group running, senders;
        size_t sending;
        struct cm_cond wake;
        bool awake, stopping;
        int64_t sweep_at, tidy_at; /* monotonic */
};

/* ---- messages */

struct errand {
        struct engine *engine;
        struct delivery_ticket ticket; /* of a reminder */
        struct cm_arena *arena;        /* NULL, or that of `mail` */
        struct mail_job mail;
};

static void free_errand(struct errand *errand)
{
        if (errand->arena) {
                cm_arena_deinit(errand->arena);
                cm_free(errand->arena);
        }
        cm_free(errand);
}

static void send_in_fiber(void *arg)
{
        struct errand *errand = arg;
        struct engine *engine = errand->engine;

        if (errand->arena)
                mail_sender_run(&engine->sender, &errand->mail);
        else
                sender_run(&engine->sender, &errand->ticket);
        free_errand(errand);
        engine->sending--;
        engine_wake(engine);
}

static void start_sending(struct engine *engine, struct errand *errand)
{
        errand->engine = engine;
        engine->sending++;
        if (cm_group_start(&engine->senders, "message", send_in_fiber, errand)) {
                engine->sending--; /* no fiber: the lease will end, and it is tried again */
                free_errand(errand);
        }
}

static size_t room_of(const struct engine *engine)
{
        size_t most = (size_t)engine->scheduler->settings->smtp_connections;

        return engine->sending < most ? most - engine->sending : 0;
}

/* One at a time, each with what it holds in an arena of its own. They are few. */
static int send_due_mails(struct engine *engine)
{
        size_t count = 1;
        int r = 0;

        while (r == 0 && count > 0 && room_of(engine) > 0) {
                struct errand *errand = CM_NEW(struct errand);
                struct mail_job *jobs;

                errand->arena = CM_NEW(struct cm_arena);
                cm_arena_init(errand->arena, 4096);
                r = mail_store_claim(engine->scheduler->pg, errand->arena,
                                     sender_lease_us(&engine->sender), 1, &jobs, &count);
                if (r || count == 0) {
                        free_errand(errand);
                        break;
                }
                errand->mail = jobs[0];
                start_sending(engine, errand);
        }
        return r;
}

/* As many as there are free senders. Somebody waits for a mail about an account: they go first. */
static int send_due(struct engine *engine)
{
        struct delivery_ticket tickets[MAX_CLAIM];
        size_t count;
        int r = send_due_mails(engine);

        if (r || room_of(engine) == 0)
                return r;
        r = delivery_store_claim(engine->scheduler->pg, sender_lease_us(&engine->sender),
                                 room_of(engine), tickets, &count);
        for (size_t i = 0; r == 0 && i < count; i++) {
                struct errand *errand = CM_NEW(struct errand);

                errand->ticket = tickets[i];
                start_sending(engine, errand);
        }
        return r;
}

/* ---- schedules */

static int fire_due(struct engine *engine)
{
        struct due_done done;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 16384);
        do {
                cm_arena_reset(&arena);
                r = due_store_work(engine->scheduler, &arena, &done);
        } while (r == 0 && !engine->stopping && done.schedules > 0);
        cm_arena_deinit(&arena);
        return r;
}

/* ---- what is done now and then */

static int keep_house(struct engine *engine)
{
        int64_t now = cm_monotonic_us();
        int r = 0;

        if (now >= engine->sweep_at) {
                r = zone_sweep(engine->scheduler);
                if (r == 0)
                        engine->sweep_at = now + SWEEP_EVERY;
        }
        if (r == 0 && now >= engine->tidy_at) {
                r = retention_tidy(engine->scheduler);
                if (r == 0)
                        engine->tidy_at = now + TIDY_EVERY;
        }
        return r;
}

/* ---- the fiber */

static void sleep_for(struct engine *engine, int64_t duration_us)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + duration_us);
        int r = 0;

        while (r == 0 && !engine->stopping && !engine->awake)
                r = cm_cond_wait(&engine->wake);
        engine->awake = false;
        cm_fiber_set_deadline(before);
}

/* One round. *sleep_us_r: until when there is nothing to do. */
static int turn(struct engine *engine, int64_t *sleep_us_r)
{
        int r;

        engine->awake = false;
        r = fire_due(engine);
        if (r == 0)
                r = send_due(engine);
        if (r == 0)
                r = keep_house(engine);
        if (r == 0)
                r = due_store_next(engine->scheduler->pg, sleep_us_r);
        if (r)
                return r;
        /* What is due although all senders are busy: the next one that ends wakes us. */
        if (*sleep_us_r == 0 &&
            engine->sending >= (size_t)engine->scheduler->settings->smtp_connections)
                *sleep_us_r = LONGEST_SLEEP;
        if (*sleep_us_r > LONGEST_SLEEP)
                *sleep_us_r = LONGEST_SLEEP;
        return 0;
}

static void run(void *arg)
{
        struct engine *engine = arg;
        int64_t patience = LEAST_PATIENCE, sleep_us = 0;

        while (!engine->stopping) {
                int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + STEP_TIME);
                int r = turn(engine, &sleep_us);

                cm_fiber_set_deadline(before);
                if (r == 0) {
                        patience = LEAST_PATIENCE;
                        sleep_for(engine, sleep_us);
                        continue;
                }
                cm_log(CM_LOG_WARN, "what is due waits for the database", CM_F_ERROR(r));
                sleep_for(engine, patience);
                patience = patience < MAX_PATIENCE ? patience * 2 : patience;
        }
}

static void on_change(void *arg)
{
        const struct cm_worker *worker = arg;
        struct scheduler *scheduler = worker->object;

        if (scheduler && scheduler->engine)
                engine_wake(scheduler->engine);
}

int engine_start(struct scheduler *scheduler, struct engine **engine_r)
{
        struct engine *engine = CM_NEW(struct engine);
        int64_t before;
        int r;

        engine->scheduler = scheduler;
        cm_group_init(&engine->running);
        cm_group_init(&engine->senders);
        cm_cond_init(&engine->wake);
        r = sender_init(&engine->sender, scheduler);
        if (r == 0)
                r = cm_pg_listen(scheduler->pg, SCHEDULE_CHANNEL, on_change, scheduler->worker);
        if (r == 0) {
                /* It outlives the fiber that starts it. */
                before = cm_fiber_set_deadline(CM_NEVER);
                r = cm_group_start(&engine->running, "engine", run, engine);
                cm_fiber_set_deadline(before);
        }
        if (r) {
                sender_deinit(&engine->sender);
                cm_free(engine);
                return r;
        }
        *engine_r = engine;
        return 0;
}

void engine_wake(struct engine *engine)
{
        engine->awake = true;
        cm_cond_signal(&engine->wake);
}

/* Messages that are nearly out get a moment; a server that lets us wait does not hold us up. What
 * is cut off is tried again, by whoever is there. */
static void await_senders(struct engine *engine)
{
        int64_t before = cm_fiber_deadline_us(), soon = cm_monotonic_us() + FAREWELL;

        (void)cm_fiber_set_deadline(before < soon ? before : soon);
        while (engine->sending > 0 && cm_cond_wait(&engine->wake) == 0)
                ;
        (void)cm_fiber_set_deadline(before);
        if (engine->sending > 0)
                cm_mailer_cut(engine->sender.mailer);
}

void engine_stop(struct engine **engine)
{
        struct engine *it = *engine;

        if (!it)
                return;
        it->stopping = true;
        cm_cond_signal(&it->wake);
        if (cm_group_join(&it->running))
                cm_log(CM_LOG_WARN, "what was coming due is left to the next one");
        await_senders(it);
        if (cm_group_join(&it->senders))
                cm_log(CM_LOG_WARN, "messages that were under way are left to their leases");
        sender_deinit(&it->sender);
        cm_free(it);
        *engine = NULL;
}
