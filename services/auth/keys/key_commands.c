#include "key_commands.h"

#include <stdio.h>

#include "base/error.h"
#include "key_keeper.h"
#include "key_store.h"

enum { DONE = 0, FAILED = 1, USAGE = 2 };

static int failed(const char *what, int r)
{
        (void)fprintf(stderr, "%s: %s\n", what, cm_error_name(r));
        return FAILED;
}

/* ---- --list-keys */

static const char *time_text(cm_time time, char text_r[CM_TIME_TEXT_SIZE])
{
        return time ? cm_time_format(time, text_r) : "-";
}

static void print_key(const struct stored_key *key)
{
        char created[CM_TIME_TEXT_SIZE], announced[CM_TIME_TEXT_SIZE], active[CM_TIME_TEXT_SIZE],
                until[CM_TIME_TEXT_SIZE];

        printf("%-43.*s  %-9s  %-27s  %-27s  %-27s  %s\n", CM_STR_ARG(key->id),
               key_state_name(key->state), time_text(key->created_at, created),
               time_text(key->announced_at, announced), time_text(key->activated_at, active),
               time_text(key->published_until, until));
}

int key_list_command(struct cm_worker *worker, const char *argument CM_UNUSED)
{
        struct key_list list;
        struct cm_arena arena;
        int r;

        cm_arena_init(&arena, 4096);
        r = key_store_history(worker->pg, &arena, &list);
        if (!r) {
                printf("%-43s  %-9s  %-27s  %-27s  %-27s  %s\n", "kid", "state", "created",
                       "announced", "signs since", "published until");
                for (size_t i = 0; i < list.count; i++)
                        print_key(&list.keys[i]);
        }
        cm_arena_deinit(&arena);
        return r ? failed("the keys cannot be read", r) : DONE;
}

/* ---- --rotate-keys, --withdraw-key */

struct change {
        struct signing_keys *keys;
        struct key_rotation rotation;
        struct cm_arena arena;
};

static int change_begin(struct change *change, struct cm_worker *worker)
{
        const struct auth_settings *settings = worker->settings;
        int r = signing_keys_new(settings->seal_keys, &change->keys);

        if (r) {
                (void)fprintf(stderr, "SALUS_SEAL_KEYS cannot be read\n");
                return USAGE;
        }
        change->rotation = key_keeper_rotation(settings, worker, change->keys);
        cm_arena_init(&change->arena, 4096);
        return DONE;
}

static void change_end(struct change *change)
{
        signing_keys_free(&change->keys);
        cm_arena_deinit(&change->arena);
}

/* The daemons would publish within a second; an operator wants to know that it was done. */
static int publish(struct change *change)
{
        int r = key_rotation_publish(&change->rotation, &change->arena);

        if (!r)
                return DONE;
        (void)fprintf(stderr,
                      "stored, but services do not know yet: Redis: %s. They are told when it "
                      "is back.\n",
                      cm_error_name(r));
        return FAILED;
}

static int rotate(struct change *change)
{
        struct cm_str id;
        int r = key_rotation_begin(&change->rotation, &change->arena, &id);

        if (r == KEY_ROTATION_FULL) {
                (void)fprintf(stderr, "%d keys are published: the oldest must end first\n",
                              KEYS_PUBLISHED_MAX);
                return FAILED;
        }
        if (r < 0)
                return failed("no key was made", r);
        printf("%.*s is announced%s; it signs %lld s after services had it\n", CM_STR_ARG(id),
               r == KEY_ROTATION_UNDER_WAY ? " already" : "",
               (long long)(change->rotation.schedule.announce_us / CM_SECOND));
        return publish(change);
}

static int withdraw(struct change *change, struct cm_str id)
{
        struct cm_str next;
        int r = key_rotation_withdraw(&change->rotation, &change->arena, id, &next);

        if (r == KEY_ROTATION_UNKNOWN) {
                (void)fprintf(stderr, "no published key has the id %.*s\n", CM_STR_ARG(id));
                return FAILED;
        }
        if (r)
                return failed("the key was not withdrawn", r);
        printf("%.*s is withdrawn\n", CM_STR_ARG(id));
        if (next.data)
                printf("%.*s signs from now on\n", CM_STR_ARG(next));
        return publish(change);
}

int key_rotate_command(struct cm_worker *worker, const char *argument CM_UNUSED)
{
        struct change change = { 0 };
        int status = change_begin(&change, worker);

        if (!status) {
                status = rotate(&change);
                change_end(&change);
        }
        return status;
}

int key_withdraw_command(struct cm_worker *worker, const char *argument)
{
        struct change change = { 0 };
        int status;

        if (!argument) {
                (void)fprintf(stderr, "--withdraw-key needs the id of a key: see --list-keys\n");
                return USAGE;
        }
        status = change_begin(&change, worker);
        if (!status) {
                status = withdraw(&change, cm_str_from(argument));
                change_end(&change);
        }
        return status;
}
