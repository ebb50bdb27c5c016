#include "service/service.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/openssl_texts.h"
#include "service/daemon.h"
#include "service/healthcheck.h"
#include "service/version.h"
#include "sys/log.h"

/*
 * The main thread. It reads the settings, runs the command or starts the workers, and then waits
 * for signals: the first SIGTERM or SIGINT drains, the second one ends the process at once. SIGUSR1
 * comes from our own workers (daemon_fail).
 */
#define JOIN_MARGIN_US (2 * CM_SECOND) /* beyond the drain's own deadline */

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* ---- signals */

static void watched(sigset_t *set_r)
{
        (void)sigemptyset(set_r);
        (void)sigaddset(set_r, SIGTERM);
        (void)sigaddset(set_r, SIGINT);
        (void)sigaddset(set_r, SIGUSR1);
        (void)sigaddset(set_r, SIGHUP); /* taken and ignored: settings change by a restart */
}

/* The next signal that means something; 0 after `at_most_us` (negative: no limit). */
static int next_signal(int64_t at_most_us)
{
        int64_t end_us = cm_monotonic_us() + at_most_us;
        sigset_t set;

        watched(&set);
        for (;;) {
                int64_t left_us = at_most_us < 0 ? CM_HOUR : end_us - cm_monotonic_us();
                struct timespec wait = { .tv_sec = left_us / CM_SECOND,
                                         .tv_nsec = left_us % CM_SECOND * 1000 };
                int number = left_us > 0 ? sigtimedwait(&set, NULL, &wait) : 0;

                if (number == SIGHUP || (number < 0 && errno == EINTR))
                        continue;
                if (number < 0 && at_most_us < 0)
                        continue;
                return number > 0 ? number : 0;
        }
}

/* ---- the daemon */

/* What is asked of all workers may be asked as soon as the first one listens. */
static void prepare_workers(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->worker_count; i++) {
                struct worker *worker = &daemon->workers[i];

                worker->daemon = daemon;
                worker->public.index = (int)i;
                worker->public.service = daemon->service;
                worker->public.settings = daemon->settings;
        }
}

static int start_workers(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->worker_count; i++) {
                int r = worker_launch(&daemon->workers[i]);

                if (r) {
                        cm_log(CM_LOG_ERROR, "worker cannot start", CM_F_INT("worker", (int64_t)i),
                               CM_F_ERROR(r));
                        return r;
                }
        }
        return 0;
}

static void log_what_is_left(const struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->worker_count; i++) {
                const struct worker *worker = &daemon->workers[i];
                const char *stage = atomic_load(&worker->stage);

                if (stage)
                        cm_log(CM_LOG_ERROR, "left undone", CM_F_INT("worker", (int64_t)i),
                               CM_F_TEXT("stage", stage),
                               CM_F_INT("requests", (int64_t)atomic_load(&worker->running)));
        }
        cm_log_flush();
}

static bool all_ended(const struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->worker_count; i++)
                if (atomic_load(&daemon->workers[i].stage))
                        return false;
        return true;
}

/* Until every worker has come to its end; false when they are given up. */
static bool await_workers(const struct daemon *daemon)
{
        int64_t end_us = cm_monotonic_us() + daemon->settings->drain_timeout_us + JOIN_MARGIN_US;

        while (!all_ended(daemon)) {
                int number = next_signal(5 * CM_MILLISECOND);

                if (number == SIGTERM || number == SIGINT) {
                        cm_log(CM_LOG_ERROR, "second signal: ending at once");
                        return false;
                }
                if (cm_monotonic_us() > end_us) {
                        cm_log(CM_LOG_ERROR, "time to drain is over");
                        return false;
                }
        }
        return true;
}

static void close_workers(struct daemon *daemon)
{
        for (size_t i = 0; i < daemon->worker_count; i++) {
                (void)pthread_join(daemon->workers[i].thread, NULL);
                (void)sem_destroy(&daemon->workers[i].listening);
        }
        if (daemon->mongo)
                daemon->service->documents->store->close(&daemon->mongo);
        /* Only now: until its thread has ended a worker may post to any other. */
        for (size_t i = 0; i < daemon->worker_count; i++)
                cm_loop_free(&daemon->workers[i].public.loop);
}

static int drain(struct daemon *daemon)
{
        int64_t start_us = cm_monotonic_us();

        cm_log(CM_LOG_INFO, "draining");
        atomic_store(&daemon->draining, true);
        if (daemon->settings->lame_duck_us && !atomic_load(&daemon->failed) &&
            next_signal(daemon->settings->lame_duck_us) == SIGTERM)
                return -CM_E_CANCELLED;
        for (size_t i = 0; i < daemon->worker_count; i++)
                worker_drain(&daemon->workers[i]);
        if (!await_workers(daemon))
                return -CM_E_CANCELLED;
        close_workers(daemon);
        cm_log(CM_LOG_INFO, "drained",
               CM_F_INT("duration_ms", (cm_monotonic_us() - start_us) / CM_MILLISECOND));
        return 0;
}

/* Threads that did not end still run: leaving through exit() would take the floor from under them.
 */
static CM_NORETURN void end_at_once(const struct daemon *daemon)
{
        log_what_is_left(daemon);
        _exit(EXIT_FAILED);
}

static int run_daemon(const struct cm_service *service, const struct cm_service_settings *settings)
{
        struct daemon daemon = { .service = service,
                                 .settings = settings,
                                 .worker_count = (size_t)settings->workers,
                                 .main_thread = pthread_self() };
        sigset_t set;

        (void)signal(SIGPIPE, SIG_IGN);
        watched(&set);
        (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
        cm_log(CM_LOG_INFO, "starting", CM_F_TEXT("version", CM_VERSION),
               CM_F_TEXT("listen", settings->listen), CM_F_INT("workers", settings->workers));
        if (service->documents && service->documents->store->open(settings, &daemon.mongo))
                return EXIT_USAGE;
        daemon.workers = cm_alloc_array(daemon.worker_count, sizeof(*daemon.workers));
        prepare_workers(&daemon);
        if (start_workers(&daemon))
                end_at_once(&daemon);
        (void)next_signal(-1);
        if (drain(&daemon))
                end_at_once(&daemon);
        cm_free(daemon.workers);
        return atomic_load(&daemon.failed) ? EXIT_FAILED : EXIT_OK;
}

/* ---- commands */

static const char usage[] =
        "usage: %s [COMMAND]\n"
        "\n"
        "Without a command it serves until SIGTERM. Settings come from the environment; KEY_FILE\n"
        "names a file that holds the value of KEY.\n"
        "\n"
        "  --migrate        bring the schema of the database up to date\n"
        "  --rollback N     take back the newest N migrations\n"
        "  --status         show which migrations are applied\n"
        "  --print-config   show the settings in force, secrets masked\n"
        "  --healthcheck    ask the daemon of these settings how it is; for containers\n"
        "  --version, --help\n";

static const char *owner_url(const struct cm_service_settings *settings)
{
        return settings->migrate_database_url ? settings->migrate_database_url
                                              : settings->database_url;
}

static int status_of(int r)
{
        return r == 0 ? EXIT_OK : EXIT_FAILED;
}

static int print_config(const struct cm_service *service, const void *settings)
{
        struct cm_buf out = { 0 };

        cm_config_print(service->settings, settings, &out);
        (void)fwrite(out.data, 1, out.len, stdout);
        cm_buf_deinit(&out);
        return EXIT_OK;
}

static int rollback(const struct cm_service *service, const struct cm_service_settings *settings,
                    const char *count)
{
        int64_t steps;

        if (!cm_str_to_int(cm_str_from(count), &steps) || steps < 1 || steps > 10000) {
                (void)fprintf(stderr, "--rollback needs the number of migrations to take back\n");
                return EXIT_USAGE;
        }
        return status_of(cm_migrate_down(owner_url(settings), service->migrations, (int)steps));
}

/* No steps back: an older program would not know what became of its documents. */
static int run_documents_command(const struct cm_service *service,
                                 const struct cm_service_settings *settings, const char *command)
{
        const struct cm_document_store *store = service->documents->store;

        if (strcmp(command, "--migrate") == 0)
                return status_of(store->migrate_command(settings, service->documents));
        if (strcmp(command, "--status") == 0)
                return store->status_command(settings, service->documents) == CM_SCHEMA_CURRENT
                               ? EXIT_OK
                               : EXIT_FAILED;
        (void)fprintf(stderr, "%s: documents cannot be rolled back\n", service->program);
        return EXIT_USAGE;
}

static bool is_about_schema(const char *command)
{
        return strcmp(command, "--migrate") == 0 || strcmp(command, "--rollback") == 0 ||
               strcmp(command, "--status") == 0;
}

static const struct cm_command *own_command(const struct cm_service *service, const char *name)
{
        for (const struct cm_command *own = service->commands; name && own && own->name; own++)
                if (strcmp(own->name, name) == 0)
                        return own;
        return NULL;
}

static int run_command(const struct cm_service *service, const struct cm_service_settings *settings,
                       const char *command, const char *argument)
{
        const struct cm_command *own = own_command(service, command);

        if (!command)
                return run_daemon(service, settings);
        if (own)
                return own->run_with ? own->run_with(settings, argument)
                                     : command_run(service, settings, own, argument);
        if (service->documents && is_about_schema(command))
                return run_documents_command(service, settings, command);
        if (strcmp(command, "--migrate") == 0)
                return status_of(cm_migrate_up(owner_url(settings), service->migrations));
        if (strcmp(command, "--rollback") == 0)
                return rollback(service, settings, argument);
        if (strcmp(command, "--status") == 0)
                return cm_migrate_status(settings->database_url, service->migrations) ==
                                       CM_SCHEMA_CURRENT
                               ? EXIT_OK
                               : EXIT_FAILED;
        if (strcmp(command, "--print-config") == 0)
                return print_config(service, settings);
        return status_of(healthcheck(settings->listen));
}

static bool is_one_of(const char *text, const char *const *names)
{
        for (; *names; names++)
                if (strcmp(text, *names) == 0)
                        return true;
        return false;
}

static bool is_usable(const char *command, int argc)
{
        static const char *const plain[] = { "--migrate", "--status", "--print-config",
                                             "--healthcheck", NULL };

        if (!command)
                return true;
        return (is_one_of(command, plain) && argc == 2) ||
               (strcmp(command, "--rollback") == 0 && argc == 3);
}

static bool set_log_level(const char *name, struct cm_buf *faults)
{
        static const char *const names[] = { "debug", "info", "warn", "error" };

        for (size_t i = 0; i < CM_COUNT(names); i++)
                if (strcmp(name, names[i]) == 0) {
                        cm_log_set_level((enum cm_log_level)i);
                        return true;
                }
        cm_buf_add_str(faults, CM_STR("SALUS_LOG_LEVEL: must be debug, info, warn or error\n"));
        return false;
}

/* Which of the two is required depends on the service. */
static bool has_store(const struct cm_service *service, const struct cm_service_settings *settings,
                      struct cm_buf *faults)
{
        if (service->documents ? settings->mongo_uri : settings->database_url)
                return true;
        cm_buf_printf(faults, "%s: is required: the service's own %s database\n",
                      service->documents ? "MONGO_URI" : "DATABASE_URL",
                      service->documents ? "MongoDB" : "PostgreSQL");
        return false;
}

static int with_settings(const struct cm_service *service, const char *command,
                         const char *argument)
{
        struct cm_service_settings *settings = cm_alloc(service->settings_size);
        struct cm_buf faults = { 0 };
        int r = cm_config_load(service->settings, settings, &faults);

        if (!has_store(service, settings, &faults))
                r = -CM_E_CONFIG;
        if (settings->log_level && !set_log_level(settings->log_level, &faults))
                r = -CM_E_CONFIG;
        if (r)
                (void)fprintf(stderr, "%s: settings cannot be used:\n%s", service->program,
                              faults.data);
        else
                r = run_command(service, settings, command, argument);
        cm_buf_deinit(&faults);
        cm_config_free(service->settings, settings);
        cm_free(settings);
        return r < 0 ? EXIT_USAGE : r;
}

static void show_usage(const struct cm_service *service, FILE *out)
{
        (void)fprintf(out, usage, service->program);
        for (const struct cm_command *own = service->commands; own && own->name; own++)
                (void)fputs(own->help, out);
}

int cm_service_main(const struct cm_service *service, int argc, char **argv)
{
        const char *command = argc > 1 ? argv[1] : NULL;
        const struct cm_command *own = own_command(service, command);

        (void)mallopt(M_ARENA_MAX, 2); /* each arena keeps memory of its own */
        cm_openssl_texts_defer();
        cm_log_set_service(service->name);
        if (command && strcmp(command, "--version") == 0) {
                printf("%s %s\n", service->program, CM_VERSION);
                return EXIT_OK;
        }
        if (command && strcmp(command, "--help") == 0) {
                show_usage(service, stdout);
                return EXIT_OK;
        }
        if (own && own->run && argc <= 3)
                return own->run(argc == 3 ? argv[2] : NULL);
        if (!(own && argc <= 3) && !is_usable(command, argc)) {
                show_usage(service, stderr);
                return EXIT_USAGE;
        }
        return with_settings(service, command, argc > 2 ? argv[2] : NULL);
}
