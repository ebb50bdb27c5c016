#include "openai_planner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/json_tree.h"

#define MAX_ROUNDS 6
#define MAX_ID     100 /* of a call that is stored: proto/schemas/chat-documents.yaml */
#define MAX_ASKED  64  /* different calls of one reply */

struct openai_planner {
        struct planner planner; /* first */
        struct provider *provider;
        struct openai_planner_config config;
};

/* A call that was asked for in this reply, and its result. */
struct asked {
        struct chat_tool_call call;
        struct cm_str result;
};

struct planner_run {
        const struct openai_planner *planner;
        struct cm_arena *arena;
        struct pii_map *map;
        struct pii_restorer restorer;
        struct cm_buf messages;
        struct provider_reply *reply;
        struct cm_buf text;     /* of this round, with pseudonyms */
        struct cm_buf restored; /* not given out yet */
        int round;
        bool is_finished;
        int failure; /* that ended the run; it stays */
        enum planner_finish finish;
        int64_t prompt_tokens, completion_tokens;

        struct openai_exchange exchange[OPENAI_CALLS]; /* of this round */
        size_t exchange_count;
        struct chat_tool_call calls[OPENAI_CALLS]; /* that the service must run */
        size_t places[OPENAI_CALLS];               /* of each in the exchange */
        size_t call_count;
        struct asked asked[MAX_ASKED];
        size_t asked_count;
        char why[384];
};

/* ---- starting */

static void write_done_rounds(struct planner_run *run, const struct planner_input *input)
{
        for (size_t i = 0; i < input->round_count; i++) {
                const struct planner_round *round = &input->rounds[i];
                size_t count = round->count < OPENAI_CALLS ? round->count : OPENAI_CALLS;

                for (size_t j = 0; j < count; j++) {
                        const struct chat_tool_call *call = &round->calls[j];
                        struct openai_exchange *it = &run->exchange[j];

                        it->id = cm_arena_printf(run->arena, "done_%zu_%zu", i, j);
                        it->name = cm_str_from(chat_tools[call->tool].name);
                        it->arguments = pii_hide(run->map, run->arena, call->arguments);
                        it->result = openai_result_text(run->arena, &round->results[j], run->map);
                        if (run->asked_count < MAX_ASKED)
                                run->asked[run->asked_count++] =
                                        (struct asked){ *call, it->result };
                }
                openai_write_exchange(&run->messages, CM_STR_NONE, run->exchange, count);
                run->round++;
        }
}

static int start(struct planner *planner, const struct planner_input *input, struct cm_arena *arena,
                 struct planner_run **run_r)
{
        struct planner_run *run = CM_ARENA_NEW(arena, struct planner_run);

        run->planner = CM_CONTAINER(planner, struct openai_planner, planner);
        run->arena = arena;
        run->map = pii_map_new();
        pii_restorer_init(&run->restorer, run->map);
        openai_write_messages(&run->messages, arena, input, run->map);
        write_done_rounds(run, input);
        *run_r = run;
        return 0;
}

/* ---- calls of the model */

/* Numbers that came as text, where the tool wants a number: {"sets":"3"}. */
static bool wants_number(const struct cm_schema *schema, struct cm_str name)
{
        for (size_t i = 0; i < schema->member_count; i++)
                if (cm_str_equal(name, cm_str_from(schema->members[i].name)))
                        return schema->members[i].schema->type == CM_TYPE_NUMBER ||
                               schema->members[i].schema->type == CM_TYPE_INTEGER;
        return false;
}

static bool is_number(struct cm_str text)
{
        char copy[32], *end;

        if (!text.len || text.len >= sizeof(copy) || (unsigned char)text.data[0] <= ' ')
                return false;
        memcpy(copy, text.data, text.len);
        copy[text.len] = 0;
        (void)strtod(copy, &end);
        return *end == 0 && strspn(copy, "+-.0123456789eE") == text.len && copy[0] != '+';
}

static struct cm_str with_numbers(struct planner_run *run, struct cm_str arguments,
                                  const struct cm_schema *schema)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        struct cm_json_error error;
        const struct cm_json_node *root = cm_json_parse(arguments, run->arena, &error);
        size_t from = 0;

        if (!root || root->type != CM_JSON_OBJECT)
                return arguments;
        /* Texts without escapes are views into the document: their quotation marks go. */
        for (const struct cm_json_node *it = root->first; it; it = it->next) {
                size_t at;

                if (it->type != CM_JSON_TEXT || !wants_number(schema, it->name) ||
                    !is_number(it->text) || it->text.data < arguments.data ||
                    it->text.data > arguments.data + arguments.len)
                        continue;
                at = (size_t)(it->text.data - arguments.data);
                cm_buf_add(&out, arguments.data + from, at - 1 - from);
                cm_buf_add_str(&out, it->text);
                from = at + it->text.len + 1;
        }
        cm_buf_add(&out, arguments.data + from, arguments.len - from);
        return cm_arena_str(run->arena, cm_buf_str(&out));
}

static int read_call(struct planner_run *run, struct cm_str name, struct cm_str arguments,
                     struct chat_tool_call *call, struct cm_str *why)
{
        int r = chat_tool_call_read(run->arena, name, arguments, call, why);

        if (r == CHAT_CALL_INVALID)
                r = chat_tool_call_read(
                        run->arena, name,
                        with_numbers(run, arguments, chat_tools[chat_tool_find(name)].arguments),
                        call, why);
        return r;
}

static const struct asked *find_asked(const struct planner_run *run,
                                      const struct chat_tool_call *call)
{
        for (size_t i = 0; i < run->asked_count; i++)
                if (chat_tool_call_same(&run->asked[i].call, call))
                        return &run->asked[i];
        return NULL;
}

static bool is_valid_json(struct planner_run *run, struct cm_str text)
{
        struct cm_json_error error;

        return cm_json_parse(text, run->arena, &error) != NULL;
}

/* The call's id, made unique in the reply: some servers send none, or the same for all. */
static struct cm_str unique_id(struct planner_run *run, const struct cm_buf *id, size_t number)
{
        bool is_taken = id->len == 0 || id->len > MAX_ID;

        for (size_t i = 0; i < run->exchange_count && !is_taken; i++)
                is_taken = cm_str_equal(run->exchange[i].id, cm_buf_str(id));
        return is_taken ? cm_arena_printf(run->arena, "call_%d_%zu", run->round, number)
                        : cm_arena_str(run->arena, cm_buf_str(id));
}

static bool is_pending(const struct planner_run *run, const struct chat_tool_call *call,
                       size_t *place_r)
{
        for (size_t i = 0; i < run->call_count; i++)
                if (chat_tool_call_same(&run->calls[i], call)) {
                        *place_r = run->places[i];
                        return true;
                }
        return false;
}

static void take_call(struct planner_run *run, const struct openai_call *from, size_t number)
{
        struct openai_exchange *it = &run->exchange[run->exchange_count];
        CM_CLEANUP(cm_buf_deinit) struct cm_buf arguments = { 0 };
        struct chat_tool_call call = { 0 };
        struct cm_str why = CM_STR_NONE;
        const struct asked *asked;
        size_t place;

        it->id = unique_id(run, &from->id, number);
        it->name = cm_arena_str(run->arena, cm_buf_str(&from->name));
        if (!it->name.len || it->name.len > 64)
                it->name = CM_STR("unknown");
        it->arguments = cm_arena_str(run->arena, cm_buf_str(&from->arguments));
        pii_restore_json(run->map, it->arguments, &arguments);
        if (read_call(run, it->name, cm_arena_str(run->arena, cm_buf_str(&arguments)), &call,
                      &why)) {
                it->result = why;
        } else if ((asked = find_asked(run, &call))) {
                it->result = asked->result;
        } else if (is_pending(run, &call, &place) ||
                   run->asked_count + run->call_count == MAX_ASKED) {
                it->result = CM_STR("Not run: the same call is under way, or there are too many.");
        } else {
                call.id = it->id;
                run->places[run->call_count] = run->exchange_count;
                run->calls[run->call_count++] = call;
        }
        /* What is sent back must be JSON, or servers refuse their own words. */
        if (!it->arguments.len || !is_valid_json(run, it->arguments))
                it->arguments = CM_STR("{}");
        run->exchange_count++;
}

static void end_round(struct planner_run *run)
{
        openai_write_exchange(&run->messages, cm_buf_str(&run->text), run->exchange,
                              run->exchange_count);
        run->exchange_count = run->call_count = 0;
        cm_buf_reset(&run->text);
        run->round++;
}

static void answer(struct planner_run *run, const struct chat_tool_result *results)
{
        CM_ASSERT(run->call_count > 0);
        for (size_t i = 0; i < run->call_count; i++) {
                struct cm_str text = openai_result_text(run->arena, &results[i], run->map);

                run->exchange[run->places[i]].result = text;
                run->asked[run->asked_count++] = (struct asked){ run->calls[i], text };
        }
        end_round(run);
}

/* ---- the course */

static int max_rounds(const struct planner_run *run)
{
        return run->planner->config.max_rounds ? run->planner->config.max_rounds : MAX_ROUNDS;
}

static int fail(struct planner_run *run, int outcome)
{
        (void)snprintf(run->why, sizeof(run->why), "%s", provider_why(run->reply));
        provider_close(&run->reply);
        return outcome == PROVIDER_REFUSED ? -CM_E_PROTOCOL : -CM_E_UNAVAILABLE;
}

static int ask(struct planner_run *run)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf body = { 0 };
        int r;

        openai_write_request(&body, &run->planner->config.options, cm_buf_str(&run->messages),
                             run->round < max_rounds(run));
        r = provider_ask(run->planner->provider, cm_buf_str(&body), &run->reply);
        return r > 0 ? fail(run, r) : r;
}

static void finish(struct planner_run *run, enum planner_finish how)
{
        run->is_finished = true;
        run->finish = how;
}

/* The reply of this round is whole. */
static void end_reply(struct planner_run *run)
{
        const struct openai_stream *stream = provider_stream(run->reply);

        run->prompt_tokens += stream->prompt_tokens;
        run->completion_tokens += stream->completion_tokens;
        pii_restore_end(&run->restorer, &run->restored);
        for (size_t i = 0; i < stream->call_count && run->round < max_rounds(run); i++)
                take_call(run, &stream->calls[i], i);
        if (stream->call_count && run->round >= max_rounds(run))
                finish(run, PLANNER_TOOL_LIMIT);
        else if (!stream->call_count)
                finish(run, stream->finish == OPENAI_FINISH_LENGTH   ? PLANNER_CUT
                            : stream->finish == OPENAI_FINISH_FILTER ? PLANNER_FILTERED
                                                                     : PLANNER_DONE);
        else if (!run->call_count)
                end_round(run);
        provider_close(&run->reply);
}

static int read_more(struct planner_run *run)
{
        size_t before = run->text.len;
        int r = provider_next(run->reply, &run->text);

        if (r < 0)
                return r;
        pii_restore(&run->restorer,
                    (struct cm_str){ run->text.data + before, run->text.len - before },
                    &run->restored);
        if (r == PROVIDER_END)
                end_reply(run);
        return r == PROVIDER_TEXT || r == PROVIDER_END ? 0 : fail(run, r);
}

static void give_text(struct planner_run *run, struct planner_step *step)
{
        step->kind = PLANNER_SAY;
        step->text = cm_arena_str(run->arena, cm_buf_str(&run->restored));
        cm_buf_reset(&run->restored);
}

static int next(struct planner_run *run, struct planner_step *step)
{
        *step = (struct planner_step){ .kind = PLANNER_FINISH };
        while (!run->restored.len && !run->call_count && !run->is_finished && !run->failure)
                run->failure = run->reply ? read_more(run) : ask(run);
        /* What came before a failure is still said. */
        if (run->restored.len) {
                give_text(run, step);
                return 0;
        }
        if (run->failure)
                return run->failure;
        if (run->call_count) {
                step->kind = PLANNER_CALL;
                step->calls = run->calls;
                step->call_count = run->call_count;
                return 0;
        }
        step->finish = run->finish;
        step->prompt_tokens = run->prompt_tokens;
        step->completion_tokens = run->completion_tokens;
        return 0;
}

static void end(struct planner_run **run)
{
        struct planner_run *it = *run;

        if (!it)
                return;
        provider_close(&it->reply);
        pii_map_free(&it->map);
        cm_buf_deinit(&it->messages);
        cm_buf_deinit(&it->text);
        cm_buf_deinit(&it->restored);
        *run = NULL;
}

/* The model decides what matters. */
static unsigned sources(const struct planner *planner CM_UNUSED,
                        const struct chat_text *message CM_UNUSED)
{
        return PLANNER_ASKS_ALL;
}

static const struct planner_ops openai_ops = {
        .name = "openai",
        .sources = sources,
        .start = start,
        .next = next,
        .answer = answer,
        .end = end,
};

struct planner *openai_planner_new(struct provider *provider,
                                   const struct openai_planner_config *config)
{
        struct openai_planner *planner = CM_NEW(struct openai_planner);

        planner->planner.ops = &openai_ops;
        planner->provider = provider;
        planner->config = *config;
        return &planner->planner;
}

void openai_planner_free(struct planner **planner)
{
        if (*planner)
                cm_free(CM_CONTAINER(*planner, struct openai_planner, planner));
        *planner = NULL;
}

const char *openai_planner_why(const struct planner_run *run)
{
        return run->why;
}
