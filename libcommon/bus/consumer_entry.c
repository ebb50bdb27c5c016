#include "base/error.h"
#include "bus/consumer_internal.h"
#include "sys/log.h"

/*
 * What an entry is, before anything is done for it. An entry of a stream of facts has its position
 * in its id; one that was sent to this group alone names its stream and carries the position as
 * ce_sequence.
 */

#define STREAM_FIELD CM_STR("salus_stream")
#define VOID_FIELD   CM_STR("salus_void")

static struct cm_str value_of(const struct cm_redis_reply *fields, struct cm_str name)
{
        for (size_t i = 0; i + 1 < fields->count; i += 2)
                if (cm_str_equal(fields->items[i].text, name))
                        return fields->items[i + 1].text;
        return CM_STR_NONE;
}

void consumer_entry_kill(struct consumer_entry *entry, const char *reason, struct cm_str detail)
{
        entry->fate = ENTRY_DEAD;
        entry->reason = reason;
        entry->detail = detail;
}

static bool read_void(struct consumer_entry *entry)
{
        struct cm_str rest = value_of(entry->fields, VOID_FIELD), first;

        if (!rest.data)
                return false;
        entry->fate = ENTRY_VOID;
        if (!cm_str_split(&rest, '-', &first) || !cm_str_to_int(first, &entry->first_position) ||
            !cm_str_to_int(rest, &entry->last_position) || entry->first_position <= 0 ||
            entry->last_position < entry->first_position)
                entry->first_position = entry->last_position = 0;
        return true;
}

static const char *parse_fault(int outcome)
{
        switch (outcome) {
        case CM_EVENT_WRONG_VERSION:
                return "version";
        case CM_EVENT_TOO_LARGE:
                return "too_large";
        default:
                return "invalid";
        }
}

static bool parse(struct cm_consumer *consumer, struct consumer_entry *entry)
{
        size_t count = entry->fields->count;
        struct cm_str *texts = cm_arena_array(consumer->reading, count, sizeof(*texts));
        const char *what;
        int r;

        for (size_t i = 0; i < count; i++)
                texts[i] = entry->fields->items[i].text;
        r = cm_event_parse(texts, count, consumer->config.max_data, &entry->event, &what);
        if (r)
                consumer_entry_kill(entry, parse_fault(r), cm_str_from(what));
        return r == 0;
}

static void subscribe(struct cm_consumer *consumer, struct consumer_entry *entry)
{
        const struct cm_subscription *it;

        for (it = consumer->config.subscriptions; it->stream; it++)
                if (entry->stream && cm_str_equal(cm_str_from(it->stream), entry->stream->name) &&
                    cm_str_equal(cm_str_from(it->type), entry->event.type))
                        entry->subscription = it;
}

static void decode(struct cm_consumer *consumer, struct consumer_entry *entry)
{
        const struct cm_schema *schema = entry->subscription->schema;
        struct cm_faults faults = { 0 };

        entry->fact = cm_arena_alloc(consumer->reading, schema->size);
        if (cm_schema_decode(schema, entry->event.data, consumer->reading, entry->fact, &faults) ==
            0)
                return;
        consumer_entry_kill(entry, "schema",
                            cm_arena_printf(consumer->reading, "%.*s: %.*s",
                                            CM_STR_ARG(faults.items[0].pointer),
                                            CM_STR_ARG(faults.items[0].detail)));
}

static void place(struct cm_consumer *consumer, struct consumer_entry *entry)
{
        struct cm_str rest = entry->id, position;

        if (cm_str_equal(entry->key, consumer->redelivery)) {
                entry->stream =
                        consumer_stream_find(consumer, value_of(entry->fields, STREAM_FIELD));
                return;
        }
        for (size_t i = 0; i < consumer->stream_count; i++)
                if (cm_str_equal(consumer->streams[i].key, entry->key))
                        entry->stream = &consumer->streams[i];
        if (cm_str_split(&rest, '-', &position) && cm_str_to_int(position, &entry->first_position))
                entry->last_position = entry->first_position;
}

void consumer_entry_read(struct cm_consumer *consumer, struct cm_str key,
                         const struct cm_redis_reply *entry, int attempt,
                         struct consumer_entry *entry_r)
{
        *entry_r = (struct consumer_entry){ .key = key,
                                            .id = entry->items[0].text,
                                            .fields = &entry->items[1],
                                            .attempt = attempt };
        place(consumer, entry_r);
        if (read_void(entry_r) || !parse(consumer, entry_r))
                return;
        if (!entry_r->first_position)
                entry_r->first_position = entry_r->last_position = entry_r->event.position;
        entry_r->event.position = entry_r->first_position;
        subscribe(consumer, entry_r);
        if (!entry_r->subscription)
                entry_r->fate = ENTRY_SKIP;
        else
                decode(consumer, entry_r);
        if (entry_r->fate == ENTRY_EFFECT && attempt > consumer->config.max_attempts)
                consumer_entry_kill(entry_r, "attempts", CM_STR("failed too often"));
}
