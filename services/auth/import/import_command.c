#include "import_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/account_store.h"
#include "accounts/user_facts.h"
#include "auth.h"
#include "base/error.h"
#include "base/mem.h"
#include "bus/outbox.h"
#include "codec/text.h"
#include "events.h"
#include "import_map.h"
#include "import_store.h"
#include "sys/log.h"

/*
 * Accounts of other systems, brought in from a file. A batch of accounts and the facts that tell of
 * them are one transaction. What is there already is passed over, so the same command goes on where
 * it was after whatever ended it, and a second run of a finished file changes nothing.
 *
 * The report goes to standard output, a line for each record that was not taken: what became of it,
 * its line in the file, its number, why; between tabs, without anything of the person.
 */
enum { DONE = 0, FAILED = 1, USAGE = 2 };

#define EVENTS_IN_ROW 100 /* of the outbox: the relay reads rows as a whole */
#define BATCH_TIME_US CM_MINUTE
#define RETRIES       5
#define AWAIT_PG_US   (10 * CM_SECOND)
#define CONNECT_US    (5 * CM_SECOND)
#define POLL_US       (2 * CM_MILLISECOND)
#define PROGRESS_US   (5 * CM_SECOND)
#define ARENA_BLOCK   (1 << 20)

struct user_import {
        const struct auth_settings *settings;
        struct auth auth; /* of it user_facts.c needs the contact keys */
        struct cm_loop *loop;
        struct cm_pg *pg;
        struct import_source source;
        struct import_defaults defaults;
        struct cm_arena arena; /* of a batch */
        struct imported_account accounts[IMPORT_BATCH];
        struct import_record records[IMPORT_BATCH];
        enum import_fate fates[IMPORT_BATCH];
        size_t count;
        int64_t taken, here, duplicates, refused;
        int64_t progress_us;
        int status;
};

/* ---- the report */

static void tell(const char *what, const struct import_record *record, const char *why)
{
        printf("%s\t%lld\t%lld\t%s\n", what, (long long)record->line, (long long)record->index,
               why);
}

static void tell_refused(struct user_import *import, const struct import_record *record,
                         const char *why)
{
        import->refused++;
        tell("refused", record, why);
}

static void tell_progress(struct user_import *import)
{
        int64_t now_us = cm_monotonic_us();

        if (now_us < import->progress_us)
                return;
        import->progress_us = now_us + PROGRESS_US;
        (void)fprintf(stderr, "line %lld: %lld accounts taken\n", (long long)import->source.line,
                      (long long)import->taken);
}

static void tell_batch(struct user_import *import)
{
        for (size_t i = 0; i < import->count; i++)
                switch (import->fates[i]) {
                case IMPORT_TAKEN:
                        import->taken++;
                        break;
                case IMPORT_HERE:
                        import->here++;
                        break;
                default:
                        import->duplicates++;
                        tell("duplicate", &import->records[i],
                             "its address or id belongs to another account");
                }
        tell_progress(import);
}

static void tell_end(const struct user_import *import, const char *end)
{
        printf("%s: %lld taken, %lld here before, %lld duplicates, %lld refused\n", end,
               (long long)import->taken, (long long)import->here, (long long)import->duplicates,
               (long long)import->refused);
}

/* ---- a batch */

/* The events of those that were taken, as rows of the outbox. */
static int publish(struct user_import *import, struct cm_pg_tx *tx)
{
        struct cm_event *events = cm_arena_array(&import->arena, import->count, sizeof(*events));
        struct cm_str payloads[IMPORT_BATCH / EVENTS_IN_ROW];
        int32_t counts[IMPORT_BATCH / EVENTS_IN_ROW];
        size_t taken = 0, rows = 0;

        for (size_t i = 0; i < import->count; i++) {
                const struct user *user = &import->accounts[i].user;
                struct user_ref ref;

                if (import->fates[i] != IMPORT_TAKEN)
                        continue;
                user_facts_ref(&import->auth, &import->arena, user, &ref);
                event_user_created(&events[taken], &import->arena, cm_fiber_context(),
                                   user->updated_at, &user->id, &ref);
                events[taken++].tenant = user->tenant_id;
        }
        for (size_t at = 0; at < taken; at += EVENTS_IN_ROW, rows++) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };

                counts[rows] = (int32_t)(taken - at < EVENTS_IN_ROW ? taken - at : EVENTS_IN_ROW);
                cm_outbox_payload(events + at, (size_t)counts[rows], &payload);
                payloads[rows] = cm_arena_str(&import->arena, cm_buf_str(&payload));
        }
        return rows ? import_store_publish(tx, payloads, counts, rows) : 0;
}

static int store_once(struct user_import *import)
{
        static const struct cm_pg_scope service_scope = { .role = "service" };
        CM_CLEANUP(cm_pg_rollback) struct cm_pg_tx *tx = NULL;
        int r;

        cm_fiber_set_deadline(cm_monotonic_us() + BATCH_TIME_US);
        r = cm_pg_begin(import->pg, &service_scope, &tx);
        if (!r)
                r = import_store_add(tx, import->accounts, import->count, import->fates);
        if (!r)
                r = publish(import, tx);
        if (!r)
                r = cm_pg_commit(&tx);
        return r > 0 ? -CM_E_DATABASE : r;
}

/* Again after a lost connection: what was stored all the same counts as here before. */
static int store(struct user_import *import)
{
        int r = import->count ? store_once(import) : 0;

        for (int i = 0; r && i < RETRIES; i++) {
                cm_log(CM_LOG_WARN, "a batch is tried again", CM_F_ERROR(r));
                cm_fiber_set_deadline(CM_NEVER);
                (void)!cm_fiber_sleep(CM_SECOND);
                r = store_once(import);
        }
        if (!r)
                tell_batch(import);
        import->count = 0;
        cm_arena_reset(&import->arena);
        return r;
}

/* ---- the file */

static void take(struct user_import *import, const struct import_record *record)
{
        struct imported_account *account = &import->accounts[import->count];
        const char *reason = NULL;

        if (import_map(import->source.shape, record->json, &import->defaults, &import->arena,
                       account, &reason)) {
                tell_refused(import, record, reason);
                return;
        }
        import->records[import->count++] = *record;
}

static int read_all(struct user_import *import)
{
        struct import_record record;
        int r, stored = 0;

        do {
                r = import_source_next(&import->source, &import->arena, &record);
                if (!r)
                        take(import, &record);
                else if (r == IMPORT_RECORD_DAMAGED)
                        tell_refused(import, &record, "the line does not fit the header");
                else if (r == IMPORT_FILE_DAMAGED)
                        tell_refused(import, &record, "the file is damaged or ends too early");
                if (import->count == IMPORT_BATCH || r == IMPORT_END || r == IMPORT_FILE_DAMAGED)
                        stored = store(import);
        } while (!stored && (!r || r == IMPORT_RECORD_DAMAGED));
        if (stored) {
                (void)fprintf(stderr,
                              "the database does not take accounts: %s. Run it again: it "
                              "goes on where it was.\n",
                              cm_error_name(stored));
                tell_end(import, "ended early");
                return FAILED;
        }
        tell_end(import, r == IMPORT_END ? "done" : "damaged");
        return r == IMPORT_END ? DONE : FAILED;
}

static bool await_pg(const struct user_import *import)
{
        int64_t until_us = cm_monotonic_us() + AWAIT_PG_US;

        while (!cm_pg_is_ready(import->pg))
                if (cm_monotonic_us() > until_us || cm_fiber_sleep(POLL_US))
                        return false;
        return true;
}

static void import_fiber(void *arg)
{
        struct user_import *import = arg;

        import->status = FAILED;
        if (!await_pg(import))
                (void)fprintf(stderr, "PostgreSQL does not answer\n");
        else if (account_store_default_tenant(import->pg, &import->defaults.tenant_id))
                (void)fprintf(stderr, "the database cannot be read; was it migrated?\n");
        else
                import->status = read_all(import);
        cm_loop_stop(import->loop);
}

static void begin(void *arg)
{
        struct user_import *import = arg;

        if (cm_fiber_start("import users", import_fiber, import, CM_NEVER))
                cm_loop_stop(import->loop);
}

/* ---- the command */

static int run_on_database(struct user_import *import)
{
        const struct cm_fiber_pool_config fibers = { .stack_size = 128 * 1024, .max_fibers = 4 };
        const struct cm_pg_config pg = { .conninfo = import->settings->service.database_url,
                                         .connections = 1,
                                         .tx_connections = 1,
                                         .max_waiting = 10,
                                         .connect_timeout_us = CONNECT_US,
                                         .backoff_max_us = CM_SECOND };
        int r = cm_loop_new(&import->loop);

        import->status = FAILED;
        if (!r)
                r = cm_fiber_pool_init(import->loop, &fibers);
        if (!r)
                r = cm_pg_new(import->loop, &pg, &import->pg);
        if (!r) {
                cm_loop_post(import->loop, begin, import);
                cm_loop_run(import->loop);
        }
        if (import->pg)
                cm_pg_free(&import->pg);
        cm_fiber_pool_deinit(import->loop);
        cm_loop_free(&import->loop);
        return import->status;
}

static bool map_file(const char *path, struct cm_str *text_r)
{
        int file = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
        struct stat status;
        void *memory = MAP_FAILED;

        if (file >= 0 && !fstat(file, &status) && status.st_size > 0)
                memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        else if (file >= 0)
                errno = EINVAL; /* empty, or no file but a pipe */
        if (memory == MAP_FAILED)
                (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        else
                *text_r = (struct cm_str){ memory, (size_t)status.st_size };
        if (file >= 0)
                (void)close(file);
        return memory != MAP_FAILED;
}

static int import_file(struct user_import *import, struct cm_str text)
{
        const struct auth_settings *settings = import->settings;
        int status = USAGE;

        import->auth.settings = settings;
        import->defaults = (struct import_defaults){
                .language = cm_str_from(settings->import_language),
                .time_zone = cm_str_from(settings->import_time_zone),
                .hash_memory = settings->imported_hash_memory,
                .now = cm_now(&cm_clock_system),
        };
        import->progress_us = cm_monotonic_us() + PROGRESS_US;
        cm_arena_init(&import->arena, ARENA_BLOCK);
        if (!cm_language_is_valid(import->defaults.language) ||
            !cm_time_zone_is_known(import->defaults.time_zone))
                (void)fprintf(stderr, "SALUS_IMPORT_LANGUAGE or SALUS_IMPORT_TIME_ZONE is none\n");
        else if (settings->contact_keys && cm_seal_keys_parse(cm_str_from(settings->contact_keys),
                                                              &import->auth.contact_keys))
                (void)fprintf(stderr, "SALUS_CONTACT_KEYS cannot be read\n");
        else if (import_source_init(&import->source, text))
                (void)fprintf(stderr, "neither rows of auth.users (JSON lines, a JSON array, CSV "
                                      "with a header) nor a realm of Keycloak\n");
        else
                status = run_on_database(import);
        import_source_deinit(&import->source);
        cm_seal_keys_free(&import->auth.contact_keys);
        cm_arena_deinit(&import->arena);
        return status;
}

int import_command(const void *settings, const char *path)
{
        struct user_import *import;
        struct cm_str text;
        int status = USAGE;

        if (!path) {
                (void)fprintf(stderr, "--import-users needs a file\n");
                return USAGE;
        }
        import = CM_NEW(struct user_import);
        import->settings = settings;
        if (map_file(path, &text)) {
                status = import_file(import, text);
                (void)munmap((void *)text.data, text.len);
        }
        cm_log_flush();
        cm_free(import);
        return status;
}
