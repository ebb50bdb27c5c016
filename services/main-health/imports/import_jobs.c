/*
 * Who owns an import: the holder of the lock on its file. A kill -9 frees the lock, and the next
 * process takes over at once; a stopped process keeps it, and goes on when it is continued. That
 * two could believe to own one import is excluded a second time by the database: a batch is stored
 * only if the import still is where the batch begins.
 *
 * A batch, its counts and its place are one transaction. So there is nothing to repair after a
 * crash: the file is unpacked again up to that place, and reading goes on there.
 *
 * Three batches are on their way at a time: one is read from the file, the events of the one before
 * it go to the database, and the one before that gets its place and is committed. So the processor
 * here, the one there and the disk do not wait for each other, and what is durable is always the
 * file up to a place.
 *
 * An import that ends its process each time it is tried would do so for ever; after MAX_ATTEMPTS
 * starts without one batch stored it is given up.
 */
#include "import_jobs.h"

#include <stdio.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "errors.h"
#include "import_files.h"
#include "import_reader.h"
#include "import_store.h"
#include "sys/fiber.h"
#include "sys/log.h"
#include "sys/metrics.h"

enum { MAX_TICKETS = 16, MAX_ATTEMPTS = 10, MAX_RETRIES = 5, PARTS = 3 };
#define LOOK_AGAIN     (2 * CM_SECOND)
#define STEP_TIME      CM_MINUTE /* for a step of a batch */
#define LEAST_PATIENCE (CM_SECOND / 4)
#define MAX_PATIENCE   (30 * CM_SECOND)
#define NEWS_TIME      (10 * CM_SECOND)
#define TIDY_EVERY     (5 * CM_MINUTE)

static struct cm_metric imported_records =
        CM_COUNTER("salus_import_records_total", "Records of imports that were worked through");
static struct cm_metric imported_events =
        CM_COUNTER("salus_import_events_total", "Events that imports offered");
static struct cm_metric imports_running =
        CM_GAUGE("salus_imports_running", "Imports that are being worked through");

struct import_jobs {
        struct import_jobs_config config;
        struct cm_cond wake;
        struct cm_cond ended;
        bool stopping;
        bool has_ended;
        bool awake; /* somebody called while the job was busy */
        int64_t tidy_at;
};

/* What became of one ticket. */
enum job_result {
        JOB_ENDED,  /* nothing is left to do */
        JOB_BUSY,   /* somebody else works on it */
        JOB_PAUSED, /* to be tried again */
        JOB_AGAIN,  /* at once */
};

/* A batch on its way. */
struct part {
        struct import_batch batch;
        int outcome; /* of reading it */
        struct import_chunk chunk;
        int stored; /* result of its first step */
};

struct job {
        struct import_jobs *jobs;
        struct import_ticket ticket;
        struct cm_arena arena;
        int lock;
        bool has_file;
        struct import import;
        int64_t line;
        struct cm_str home_zone;
        struct import_reader *reader;
        int64_t counted;  /* records in the metric */
        bool meets_known; /* the last batch had events that were stored before */
        /* Of the present step; NULL: none. */
        struct part *reading;
        struct part *storing;
        struct part *placing;
};

/* ---- on the lane */

static int lane_lock(void *arg)
{
        struct job *job = arg;
        char path[IMPORT_PATH_SIZE];
        int r = import_file_lock(job->jobs->config.folder, &job->ticket.id, &job->lock);

        if (r == 0)
                job->has_file =
                        access(import_file_path(job->jobs->config.folder, &job->ticket.id, path),
                               R_OK) == 0;
        return r;
}

static int lane_open(void *arg)
{
        struct job *job = arg;
        char path[IMPORT_PATH_SIZE];
        const struct import_reader_config config = {
                .path = import_file_path(job->jobs->config.folder, &job->ticket.id, path),
                .limits = job->jobs->config.limits,
                .home_zone = job->home_zone,
                .now = cm_now(&cm_clock_system),
                .from = {
                        .offset = job->import.bytes_done,
                        .line = job->line,
                        .records = job->import.records,
                        .rejected = job->import.rejected,
                },
                .summary = &job->import.summary,
        };

        return import_reader_open(&config, &job->reader);
}

static int lane_fill(void *arg)
{
        struct job *job = arg;

        return import_reader_fill(job->reader, &job->reading->batch);
}

static int lane_remove(void *arg)
{
        struct job *job = arg;

        import_file_remove(job->jobs->config.folder, &job->ticket.id);
        return 0;
}

static int on_lane(struct job *job, cm_work_fn *fn)
{
        return cm_work_run(job->jobs->config.lane, fn, job);
}

/* ---- one import */

/* The problem that a reader's outcome is for the person; NULL when it is none. */
static const char *problem_of(int outcome)
{
        switch (outcome) {
        case SOURCE_NOT_APPLE:
                return CM_CODE_IMPORT_NOT_APPLE;
        case SOURCE_BROKEN:
        case IMPORT_TRUNCATED:
                return CM_CODE_IMPORT_BROKEN;
        case SOURCE_ENCRYPTED:
                return CM_CODE_IMPORT_ENCRYPTED;
        case SOURCE_TOO_LARGE:
                return CM_CODE_IMPORT_TOO_LARGE;
        default:
                return NULL;
        }
}

static struct cm_str detail_of(struct job *job, const struct import_batch *batch, int outcome)
{
        if (outcome != IMPORT_TRUNCATED && outcome != SOURCE_BROKEN)
                return CM_STR_NONE;
        return cm_arena_printf(&job->arena, "it can be read up to line %lld",
                               (long long)batch->progress.line);
}

/* ---- the steps of a batch */

static void read_part(void *arg)
{
        struct job *job = arg;

        job->reading->outcome = on_lane(job, lane_fill);
}

static void store_part(struct job *job, struct part *part)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + STEP_TIME);
        int retries = 0;

        do
                part->stored = import_store_events(job->jobs->config.pg, &job->ticket, &part->batch,
                                                   &job->meets_known, &part->chunk);
        while (part->stored == CM_PG_RETRY && ++retries < MAX_RETRIES);
        cm_fiber_set_deadline(before);
}

static void store_in_fiber(void *arg)
{
        struct job *job = arg;

        store_part(job, job->storing);
}

static int place_part(struct job *job, struct part *part)
{
        const struct import_batch *batch = &part->batch;
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + STEP_TIME);
        int r = import_store_place(&part->chunk, &job->ticket, problem_of(part->outcome),
                                   detail_of(job, batch, part->outcome));

        cm_fiber_set_deadline(before);
        if (r)
                return r;
        vitals_cache_changed(job->jobs->config.vitals, &job->ticket.user);
        cm_counter_add(&imported_events, (int64_t)batch->event_count);
        cm_counter_add(&imported_records, batch->progress.records - job->counted);
        job->counted = batch->progress.records;
        return 0;
}

/* From the first step, alone: what came behind it is taken back, so that it does not wait for that.
 */
static int place_again(struct job *job)
{
        struct part *part = job->placing;
        int r = CM_PG_RETRY;

        if (job->storing)
                import_store_drop(&job->storing->chunk);
        for (int retries = 0; r == CM_PG_RETRY && retries < MAX_RETRIES; retries++) {
                store_part(job, part);
                r = part->stored ? part->stored : place_part(job, part);
        }
        if (r == 0 && job->storing)
                store_part(job, job->storing);
        return r;
}

/* Each part that is on its way goes one step further. 0, or why it cannot. */
static int take_step(struct job *job)
{
        struct cm_group group;
        int r = 0, placed = 0;

        cm_group_init(&group);
        if (job->reading)
                r = cm_group_start(&group, "import-read", read_part, job);
        if (r == 0 && job->storing)
                r = cm_group_start(&group, "import-store", store_in_fiber, job);
        if (r == 0 && job->placing)
                placed = place_part(job, job->placing);
        (void)cm_group_join(&group);
        if (r == 0)
                r = placed == CM_PG_RETRY ? place_again(job) : placed;
        return r || !job->storing ? r : job->storing->stored;
}

static enum job_result work_through(struct job *job, struct part *parts)
{
        const struct part *last;
        size_t count = 0; /* parts that were read */
        bool more = true;

        for (size_t step = 0; more || step < count + 2; step++) {
                int r;

                job->reading = more ? &parts[step % PARTS] : NULL;
                job->storing = step >= 1 && step - 1 < count ? &parts[(step - 1) % PARTS] : NULL;
                job->placing = step >= 2 && step - 2 < count ? &parts[(step - 2) % PARTS] : NULL;
                r = take_step(job);
                if (r) /* cancelled, or somebody moved it: look */
                        return r == IMPORT_ENDED ? JOB_AGAIN : JOB_PAUSED;
                if (!job->reading)
                        continue;
                count += job->reading->outcome >= 0;
                more = job->reading->outcome == 0 && !job->reading->batch.last &&
                       !job->jobs->stopping;
        }
        last = count ? &parts[(count - 1) % PARTS] : NULL;
        return last && (last->outcome || last->batch.last) ? JOB_ENDED : JOB_PAUSED;
}

static enum job_result with_parts(struct job *job)
{
        struct part *parts = cm_alloc_array(PARTS, sizeof(*parts));
        enum job_result result;

        for (size_t i = 0; i < PARTS; i++)
                import_batch_init(&parts[i].batch);
        result = work_through(job, parts);
        for (size_t i = 0; i < PARTS; i++) {
                import_store_drop(&parts[i].chunk);
                import_batch_deinit(&parts[i].batch);
        }
        cm_free(parts);
        return result;
}

static enum job_result give_up(struct job *job, const char *problem, struct cm_str detail)
{
        int r = import_store_fail(job->jobs->config.pg, &job->ticket, problem, detail);

        return r ? JOB_PAUSED : JOB_ENDED;
}

/*
 * The zone that the person is in now. A new account may ask for an import before we have heard of
 * it: then the import waits for the news, for a while.
 */
static int find_home(struct job *job)
{
        cm_time now = cm_now(&cm_clock_system);
        struct person person;
        int r = person_store_get(job->jobs->config.persons, &job->arena, &job->ticket.user,
                                 &person);

        if (r)
                return r;
        if (person.zone_count == 0 && now - job->import.created_at < NEWS_TIME) {
                person_store_drop(job->jobs->config.persons, &job->ticket.user);
                return -CM_E_UNAVAILABLE;
        }
        job->home_zone = person_zone_at(&person, now);
        return 0;
}

static enum job_result open_and_work(struct job *job)
{
        int r = find_home(job);

        if (r)
                return JOB_PAUSED;
        r = on_lane(job, lane_open);
        if (r > 0)
                return give_up(job, problem_of(r), CM_STR_NONE);
        if (r == 0 && job->import.has_bytes_total != CM_PRESENT)
                r = import_store_sized(job->jobs->config.pg, &job->ticket,
                                       import_reader_size(job->reader));
        return r ? JOB_PAUSED : with_parts(job);
}

static enum job_result start_and_work(struct job *job)
{
        int r = import_store_start(job->jobs->config.pg, &job->arena, &job->ticket, &job->import,
                                   &job->line);

        if (r == IMPORT_ENDED)
                return JOB_ENDED;
        if (r)
                return JOB_PAUSED;
        if (!job->has_file)
                return give_up(job, CM_CODE_IMPORT_LOST, CM_STR_NONE);
        if (job->ticket.attempts >= MAX_ATTEMPTS)
                return give_up(job, CM_CODE_INTERNAL, CM_STR("it was tried several times"));
        job->counted = job->import.records;
        return open_and_work(job);
}

static enum job_result finish(struct job *job, enum job_result result)
{
        import_reader_close(&job->reader);
        if (result == JOB_ENDED) {
                if (on_lane(job, lane_remove) ||
                    import_store_forget(job->jobs->config.pg, &job->ticket))
                        result = JOB_PAUSED;
        }
        if (job->lock >= 0)
                close(job->lock);
        cm_arena_deinit(&job->arena);
        return result;
}

static enum job_result try_ticket(struct import_jobs *jobs, const struct import_ticket *ticket)
{
        struct job job = { .jobs = jobs, .ticket = *ticket, .lock = -1 };
        enum job_result result;
        int r;

        cm_arena_init(&job.arena, 4096);
        r = on_lane(&job, lane_lock);
        if (r) {
                cm_arena_deinit(&job.arena);
                return r == IMPORT_FILE_LOCKED ? JOB_BUSY : JOB_PAUSED;
        }
        cm_gauge_add(&imports_running, 1);
        result = finish(&job, start_and_work(&job));
        cm_gauge_add(&imports_running, -1);
        return result;
}

/* ---- the fiber */

static void pause_for(struct import_jobs *jobs, int64_t duration_us)
{
        int64_t before = cm_fiber_set_deadline(cm_monotonic_us() + duration_us);
        int r = 0;

        while (r == 0 && !jobs->stopping && !jobs->awake)
                r = cm_cond_wait(&jobs->wake);
        jobs->awake = false;
        cm_fiber_set_deadline(before);
}

enum look { LOOK_DONE, LOOK_AT_ONCE, LOOK_FAILED };

/* Works through what waits. */
static enum look look(struct import_jobs *jobs)
{
        struct import_ticket tickets[MAX_TICKETS];
        enum look found = LOOK_DONE;
        size_t count;

        if (import_store_waiting(jobs->config.pg, &jobs->config.folder_id, tickets, MAX_TICKETS,
                                 &count))
                return LOOK_FAILED;
        for (size_t i = 0; i < count && !jobs->stopping; i++) {
                enum job_result result = try_ticket(jobs, &tickets[i]);

                if (result == JOB_PAUSED)
                        found = LOOK_FAILED;
                if (result == JOB_AGAIN || (result == JOB_ENDED && count == MAX_TICKETS))
                        return LOOK_AT_ONCE;
        }
        return found;
}

static void tidy(struct import_jobs *jobs)
{
        int64_t now = cm_monotonic_us();

        if (now < jobs->tidy_at)
                return;
        jobs->tidy_at = now + TIDY_EVERY;
        jobs->config.tidy(jobs->config.arg);
}

/* What failed is tried again after a while that grows. */
static void run(void *arg)
{
        struct import_jobs *jobs = arg;
        int64_t patience = LEAST_PATIENCE;

        while (!jobs->stopping) {
                enum look found = look(jobs);

                if (found == LOOK_FAILED) {
                        pause_for(jobs, patience);
                        patience = patience < MAX_PATIENCE ? patience * 2 : patience;
                        continue;
                }
                patience = LEAST_PATIENCE;
                tidy(jobs);
                if (found == LOOK_DONE)
                        pause_for(jobs, LOOK_AGAIN);
        }
        jobs->has_ended = true;
        cm_cond_broadcast(&jobs->ended);
}

int import_jobs_start(const struct import_jobs_config *config, struct import_jobs **jobs_r)
{
        struct import_jobs *jobs = CM_NEW(struct import_jobs);
        int64_t before;
        int r;

        jobs->config = *config;
        cm_cond_init(&jobs->wake);
        cm_cond_init(&jobs->ended);
        /* It outlives the fiber that starts it. */
        before = cm_fiber_set_deadline(CM_NEVER);
        r = cm_fiber_start("imports", run, jobs, CM_NEVER);
        cm_fiber_set_deadline(before);
        if (r) {
                cm_free(jobs);
                return r;
        }
        *jobs_r = jobs;
        return 0;
}

void import_jobs_wake(struct import_jobs *jobs)
{
        jobs->awake = true;
        cm_cond_signal(&jobs->wake);
}

void import_jobs_stop(struct import_jobs **jobs)
{
        int64_t before;

        if (!*jobs)
                return;
        cm_fiber_shield();
        before = cm_fiber_set_deadline(CM_NEVER); /* a batch has a deadline of its own */
        (*jobs)->stopping = true;
        cm_cond_signal(&(*jobs)->wake);
        while (!(*jobs)->has_ended)
                CM_ASSERT(cm_cond_wait(&(*jobs)->ended) == 0);
        cm_fiber_set_deadline(before);
        cm_free(*jobs);
        *jobs = NULL;
}
