#include "recent.h"

#include "conversations/message_store.h"

/* Calls that no longer fit their contract (an older release's) are left out, and those whose result
 * was too long to keep. */
static bool read_call(struct cm_arena *arena, const struct tool_call_document *kept,
                      struct chat_tool_call *call, struct chat_tool_result *result)
{
        struct cm_str why;

        if (chat_tool_call_read(arena, kept->name, kept->arguments, call, &why) ||
            (kept->status == TOOL_STATUS_DONE && kept->has_result != CM_PRESENT))
                return false;
        call->id = kept->id;
        *result = (struct chat_tool_result){ .status = (enum chat_result_status)(
                                                     kept->status - TOOL_STATUS_DONE) };
        if (kept->has_result == CM_PRESENT)
                *result = chat_tool_result_read(arena, call->tool, kept->result);
        return true;
}

static void read_rounds(struct cm_arena *arena, const struct message_document *message,
                        struct planner_message *out)
{
        size_t count = message->tools.count;
        struct chat_tool_call *calls = cm_arena_array(arena, count + 1, sizeof(*calls));
        struct chat_tool_result *results = cm_arena_array(arena, count + 1, sizeof(*results));
        struct planner_round *rounds = cm_arena_array(arena, count + 1, sizeof(*rounds));
        int64_t last = -1;
        size_t made = 0;

        for (size_t i = 0; i < count; i++) {
                const struct tool_call_document *kept = &message->tools.items[i];

                if (!read_call(arena, kept, &calls[made], &results[made]))
                        continue;
                if (kept->round != last)
                        rounds[out->round_count++] =
                                (struct planner_round){ &calls[made], &results[made], 0 };
                rounds[out->round_count - 1].count++;
                last = kept->round;
                made++;
        }
        out->rounds = rounds;
}

static void read_message(struct cm_arena *arena, const struct message_document *message,
                         struct planner_message *out)
{
        *out = (struct planner_message){
                .is_from_person = message->role == MESSAGE_ROLE_USER,
                .text = message->content,
                .sources = message->sources.items,
                .source_count = message->sources.count,
        };
        read_rounds(arena, message, out);
}

/* Those from `from` to before `seq`; NULL when some are missing. */
static const struct message_document *find_run(const struct cm_items *known, int64_t from,
                                               int64_t seq)
{
        const struct message_document *messages = known->items;
        int64_t first = known->count ? messages[0].seq : seq;

        return first <= from && seq <= first + (int64_t)known->count ? &messages[from - first]
                                                                     : NULL;
}

int recent_load(struct chat *chat, struct cm_arena *arena, const struct cm_uuid *conversation_id,
                int64_t seq, const struct cm_items *known, struct planner_input *input)
{
        int64_t from = seq > chat->settings->chat_recent ? seq - chat->settings->chat_recent : 0;
        const struct message_document *run = find_run(known, from, seq);
        size_t count = (size_t)(seq - from);
        struct message_document *read = NULL;
        struct planner_message *recent;
        int r = 0;

        if (!run && count) {
                r = message_store_list(chat, arena, conversation_id, from, count, &read, &count);
                run = read;
        }
        if (r)
                return r;
        recent = cm_arena_array(arena, count + 1, sizeof(*recent));
        for (size_t i = 0; i < count; i++)
                read_message(arena, &run[i], &recent[i]);
        input->recent = recent;
        input->recent_count = count;
        return 0;
}
