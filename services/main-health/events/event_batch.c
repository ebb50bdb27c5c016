#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "errors.h"
#include "event_replies.h"
#include "sys/fiber.h"

/*
 * POST /v1/health-events/batch: one event a line in, one answer a line out, any number of lines.
 * Lines gather in a chunk; a full chunk is stored by one statement in a fiber of its own while the
 * next one is read and decoded, so both ends work at once and memory stays flat. Answers go out in
 * the order of the lines, chunk by chunk, when they are durable.
 *
 * Answers have a fiber of their own, too: a client that sends everything before it reads the first
 * answer is served as well, as long as its answers have room.
 *
 * A line that is not valid gets its problem and hinders nobody. When the database refuses a chunk,
 * its lines go one by one, so that each gets its own answer.
 */
enum {
        CHUNK_LINES = 1000,
        CHUNK_KEYS = 250, /* each is a lock of PostgreSQL's until the chunk is stored */
        CHUNK_BYTES = 1024 * 1024,
        MAX_LINE = 256 * 1024,
        CHUNKS = 3,                     /* one is filled while two are stored */
        MAX_ANSWERS = 32 * 1024 * 1024, /* bytes that may wait for the client: some 400,000 lines */
        ANSWER_PIECE = 64 * 1024,
};

#define KEY_PATIENCE_US (20 * CM_MILLISECOND)

struct line {
        int64_t number;
        int status; /* 0: goes to the store, as events[place] */
        size_t place;
        const char *code; /* of the problem; NULL: none */
        struct cm_faults *faults;
};

struct chunk {
        struct batch *batch;
        struct cm_arena arena;
        struct line lines[CHUNK_LINES];
        size_t line_count;
        struct recorded_event events[CHUNK_LINES];
        int outcomes[CHUNK_LINES];
        size_t event_count;
        size_t key_count;
        size_t bytes;
        struct cm_group group; /* the fiber that stores it */
        bool storing;
};

/* What waits to be sent. */
struct answers {
        struct cm_request *request;
        struct cm_buf waiting;
        size_t unsent; /* bytes: waiting, and being sent */
        bool ended;    /* no more will come */
        int error;
        struct cm_cond more;
        struct cm_cond less;
        struct cm_group writer;
};

struct batch {
        struct cm_request *request;
        struct answers answers;
        struct health *health;
        struct person person;
        struct cm_buf rest; /* an unfinished line */
        int64_t line_number;
        bool skipping;                /* the rest of a line that was too long */
        struct chunk *chunks[CHUNKS]; /* a ring: after the one being filled comes the oldest */
        size_t filling;
};

/* ---- one line */

static struct line *add_line(struct chunk *chunk, int status, const char *code)
{
        struct line *line = &chunk->lines[chunk->line_count++];

        *line = (struct line){ .number = chunk->batch->line_number,
                               .status = status,
                               .code = code };
        return line;
}

static void take_line(struct batch *batch, struct cm_str text)
{
        struct chunk *chunk = batch->chunks[batch->filling];
        struct cm_faults *faults = CM_ARENA_NEW(&chunk->arena, struct cm_faults);
        struct recorded_event *event = &chunk->events[chunk->event_count];
        struct health_event_input in;
        const struct event_rules rules = {
                .zones = batch->health->zones,
                .person = &batch->person,
                .now = cm_now(&cm_clock_system),
                .arena = &chunk->arena,
                .pointers = &event_at_top,
                .faults = faults,
        };
        int r;

        chunk->bytes += text.len;
        r = cm_schema_decode(&health_event_input_schema, text, &chunk->arena, &in, faults);
        if (r == CM_DECODE_NOT_JSON) {
                add_line(chunk, 400, CM_CODE_BAD_REQUEST)->faults = faults;
        } else if (r || event_rules_complete(&rules, &in, event)) {
                add_line(chunk, 422, CM_CODE_INVALID)->faults = faults;
        } else {
                event->body = event->key.data ? cm_arena_str(&chunk->arena, text) : CM_STR_NONE;
                chunk->key_count += event->key.data != NULL;
                add_line(chunk, 0, NULL)->place = chunk->event_count++;
        }
}

/* ---- storing a chunk */

static void store_one_by_one(struct chunk *chunk)
{
        for (size_t i = 0; i < chunk->event_count; i++)
                chunk->outcomes[i] = event_store_append(chunk->batch->health->events, &chunk->arena,
                                                        &chunk->events[i]);
}

static void store(void *arg)
{
        struct chunk *chunk = arg;
        int r = event_store_append_many(chunk->batch->health->events, &chunk->arena, chunk->events,
                                        chunk->event_count, chunk->outcomes);

        /* Most likely it is the chunk before that has the key, and ends in a moment. */
        if (r == EVENT_KEY_AT_WORK)
                (void)!cm_fiber_sleep(KEY_PATIENCE_US);
        if (r > 0 || r == -CM_E_DATABASE)
                store_one_by_one(chunk);
        for (size_t i = 0; r < 0 && r != -CM_E_DATABASE && i < chunk->event_count; i++)
                chunk->outcomes[i] = r;
}

static void judge(struct line *line, int outcome)
{
        static const struct {
                int outcome;
                int status;
                const char *code;
        } verdicts[] = {
                { 0, 201, NULL },
                { EVENT_STORED_BEFORE, 200, NULL },
                { EVENT_KEY_REUSED, 422, CM_CODE_IDEMPOTENCY_CONFLICT },
                { EVENT_KEY_AT_WORK, 409, CM_CODE_IDEMPOTENCY_IN_PROGRESS },
                { CM_PG_REFUSED, 422, CM_CODE_INVALID },
                { -CM_E_UNCERTAIN, 503, CM_CODE_UNCERTAIN },
                { -CM_E_OVERLOAD, 503, CM_CODE_OVERLOADED },
                { -CM_E_DEADLINE, 504, CM_CODE_TIMEOUT },
        };

        line->status = 503;
        line->code = CM_CODE_UNAVAILABLE;
        for (size_t i = 0; i < CM_COUNT(verdicts); i++) {
                if (verdicts[i].outcome != outcome)
                        continue;
                line->status = verdicts[i].status;
                line->code = verdicts[i].code;
        }
}

/* ---- answering */

static void encode_answer(struct chunk *chunk, const struct line *line, bool stored,
                          struct cm_buf *out)
{
        struct health_event_line_answer answer = { .line = line->number, .status = line->status };
        struct health_event_line_problem *problem = &answer.problem;

        if (stored && !line->code) {
                answer.has_id = CM_PRESENT;
                answer.id = chunk->events[line->place].id;
        }
        if (line->code) {
                answer.has_problem = CM_PRESENT;
                problem->code = cm_str_from(line->code);
                problem->title = cm_str_from(cm_error_code_find(line->code)->title);
        }
        if (line->faults) {
                problem->has_errors = CM_PRESENT;
                problem->errors.count = line->faults->count;
                problem->errors.items = cm_arena_array(&chunk->arena, line->faults->count + 1,
                                                       sizeof(*problem->errors.items));
                for (size_t i = 0; i < line->faults->count; i++)
                        problem->errors.items[i] =
                                (struct health_event_line_fault){ line->faults->items[i].pointer,
                                                                  line->faults->items[i].detail };
        }
        cm_schema_encode(&health_event_line_answer_schema, &answer, out);
        cm_buf_add_char(out, '\n');
}

/* The client may be slow to read while it still sends: then what was written waits in the
 * connection, and only the end of its patience is not ours. */
static void send_all(struct answers *answers, struct cm_str bytes)
{
        while (bytes.len > 0 && !answers->error) {
                struct cm_str piece = { bytes.data,
                                        bytes.len < ANSWER_PIECE ? bytes.len : ANSWER_PIECE };
                int r = cm_reply_stream_write(answers->request, piece);

                if (r != 0 && (r != -CM_E_DEADLINE || answers->ended))
                        answers->error = r;
                answers->unsent -= piece.len;
                bytes.data += piece.len;
                bytes.len -= piece.len;
                cm_cond_broadcast(&answers->less);
        }
}

static void write_answers(void *arg)
{
        struct answers *answers = arg;

        while (!answers->error) {
                CM_CLEANUP(cm_buf_deinit) struct cm_buf bytes = answers->waiting;

                (void)cm_fiber_set_deadline(CM_NEVER);
                answers->waiting = (struct cm_buf){ 0 };
                if (bytes.len > 0)
                        send_all(answers, cm_buf_str(&bytes));
                else if (answers->ended)
                        return;
                else if (cm_cond_wait(&answers->more) < 0)
                        answers->error = -CM_E_CANCELLED;
        }
        cm_cond_broadcast(&answers->less);
}

/* What is in `waiting` is to be sent. Suspends while too much is. */
static int queue_answers(struct answers *answers, size_t added)
{
        int r = 0;

        answers->unsent += added;
        cm_cond_signal(&answers->more);
        while (r == 0 && !answers->error && answers->unsent > MAX_ANSWERS)
                r = cm_cond_wait(&answers->less);
        return answers->error ?: r;
}

static int start_answers(struct answers *answers, struct cm_request *request)
{
        answers->request = request;
        cm_cond_init(&answers->more);
        cm_cond_init(&answers->less);
        cm_group_init(&answers->writer);
        return cm_group_start(&answers->writer, "batch answers", write_answers, answers);
}

/* Everything is sent, or never will be. */
static int end_answers(struct answers *answers, int r)
{
        answers->ended = true;
        if (r < 0)
                answers->error = r;
        cm_cond_signal(&answers->more);
        (void)cm_group_join(&answers->writer);
        cm_buf_deinit(&answers->waiting);
        return answers->error;
}

/* What changed in the chunk drops what is cached of it. */
static bool has_new_vitals(const struct chunk *chunk)
{
        for (size_t i = 0; i < chunk->event_count; i++)
                if (chunk->outcomes[i] == 0 &&
                    chunk->events[i].event_type == HEALTH_EVENT_TYPE_VITAL)
                        return true;
        return false;
}

/* Waits until the chunk is stored, answers its lines and empties it. */
static int finish(struct chunk *chunk)
{
        struct answers *answers = &chunk->batch->answers;
        size_t before;

        if (chunk->line_count == 0)
                return 0;
        if (chunk->storing)
                (void)cm_group_join(&chunk->group);
        chunk->storing = false;
        before = answers->waiting.len;
        for (size_t i = 0; i < chunk->line_count; i++) {
                struct line *line = &chunk->lines[i];
                bool stored = line->status == 0;

                if (stored)
                        judge(line, chunk->outcomes[line->place]);
                encode_answer(chunk, line, stored, &answers->waiting);
        }
        if (has_new_vitals(chunk))
                vitals_cache_changed(chunk->batch->health->vitals, &chunk->batch->person.id);
        chunk->line_count = chunk->event_count = chunk->key_count = chunk->bytes = 0;
        cm_arena_reset(&chunk->arena);
        return queue_answers(answers, answers->waiting.len - before);
}

/* The full chunk begins to be stored; the oldest one is answered and becomes the one to fill. */
static int turn_over(struct batch *batch)
{
        struct chunk *full = batch->chunks[batch->filling];

        cm_group_init(&full->group);
        if (full->event_count > 0) {
                full->storing = cm_group_start(&full->group, "batch chunk", store, full) == 0;
                if (!full->storing)
                        store(full);
        }
        batch->filling = (batch->filling + 1) % CHUNKS;
        return finish(batch->chunks[batch->filling]);
}

/* ---- reading */

static bool is_blank(struct cm_str text)
{
        return cm_str_trim(text).len == 0;
}

static bool is_full(const struct chunk *chunk)
{
        return chunk->line_count == CHUNK_LINES || chunk->key_count == CHUNK_KEYS ||
               chunk->bytes >= CHUNK_BYTES;
}

static int end_line(struct batch *batch, struct cm_str text)
{
        struct chunk *chunk = batch->chunks[batch->filling];

        batch->line_number++;
        if (batch->skipping || text.len > MAX_LINE)
                add_line(chunk, 413, CM_CODE_TOO_LARGE);
        else if (!is_blank(text))
                take_line(batch, text);
        batch->skipping = false;
        return is_full(chunk) ? turn_over(batch) : 0;
}

/* A line ends in this piece: by itself, or as the end of what came before. */
static int join_line(struct batch *batch, struct cm_str end)
{
        int r;

        if (batch->rest.len == 0)
                return end_line(batch, end);
        cm_buf_add_str(&batch->rest, end);
        r = end_line(batch, cm_buf_str(&batch->rest));
        cm_buf_reset(&batch->rest);
        return r;
}

static int take_piece(struct batch *batch, struct cm_str piece)
{
        const char *newline;
        int r;

        while ((newline = memchr(piece.data, '\n', piece.len))) {
                struct cm_str end = { piece.data, (size_t)(newline - piece.data) };

                r = join_line(batch, end);
                if (r)
                        return r;
                piece.data += end.len + 1;
                piece.len -= end.len + 1;
        }
        if (batch->skipping || batch->rest.len + piece.len > MAX_LINE) {
                batch->skipping = true;
                cm_buf_reset(&batch->rest);
        } else {
                cm_buf_add_str(&batch->rest, piece);
        }
        return 0;
}

static int read_all(struct batch *batch)
{
        struct cm_str piece;
        int r;

        for (;;) {
                r = cm_request_read(batch->request, &piece);
                if (r || piece.len == 0)
                        break;
                r = take_piece(batch, piece);
                if (r)
                        return r;
        }
        if (r == 0 && (batch->rest.len > 0 || batch->skipping))
                r = end_line(batch, cm_buf_str(&batch->rest));
        return r;
}

static struct chunk *chunk_new(struct batch *batch)
{
        struct chunk *chunk = CM_NEW(struct chunk);

        chunk->batch = batch;
        cm_arena_init(&chunk->arena, 65536);
        return chunk;
}

static void chunk_free(struct chunk *chunk)
{
        if (chunk->storing)
                (void)cm_group_join(&chunk->group);
        cm_arena_deinit(&chunk->arena);
        cm_free(chunk);
}

static int run(struct batch *batch)
{
        int r = cm_reply_stream(batch->request, 200, "application/x-ndjson");

        if (r == 0)
                r = start_answers(&batch->answers, batch->request);
        if (r)
                return r;
        r = read_all(batch);
        for (int i = 0; r == 0 && i < CHUNKS; i++)
                r = turn_over(batch);
        r = end_answers(&batch->answers, r);
        return r ? r : cm_reply_stream_end(batch->request);
}

int health_event_batch(struct cm_request *request)
{
        struct batch batch = { .request = request, .health = cm_request_service(request) };
        int r;

        if (cm_request_content_length(request) == 0)
                return cm_reply_invalid(request, "", "must have at least one line");
        r = person_store_get(batch.health->persons, cm_request_arena(request),
                             &cm_request_claims(request)->sub, &batch.person);

        if (r)
                return r;
        for (int i = 0; i < CHUNKS; i++)
                batch.chunks[i] = chunk_new(&batch);
        r = run(&batch);
        for (int i = 0; i < CHUNKS; i++)
                chunk_free(batch.chunks[i]);
        cm_buf_deinit(&batch.rest);
        return r;
}
