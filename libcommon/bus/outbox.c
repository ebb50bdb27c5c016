#include "bus/outbox.h"

#include "base/attr.h"
#include "codec/json.h"

const struct cm_pg_statement cm_outbox_insert = {
        .name = "outbox-insert",
        .sql = "WITH written AS (INSERT INTO outbox (payload, event_count)"
               " VALUES ($1::jsonb, $2::int4) RETURNING id)"
               " SELECT pg_notify('" CM_OUTBOX_CHANNEL "', '') FROM written",
        .writes = true,
};

static void write_event(struct cm_json_writer *json, const struct cm_event *event)
{
        cm_json_object(json);
        cm_json_key(json, "id");
        cm_json_uuid(json, &event->id);
        cm_json_key(json, "source");
        cm_json_text(json, event->source);
        cm_json_key(json, "type");
        cm_json_text(json, event->type);
        cm_json_key(json, "time");
        cm_json_time(json, event->time);
        if (!cm_uuid_is_nil(&event->subject)) {
                cm_json_key(json, "subject");
                cm_json_uuid(json, &event->subject);
        }
        if (!cm_uuid_is_nil(&event->tenant)) {
                cm_json_key(json, "tenant");
                cm_json_uuid(json, &event->tenant);
        }
        if (event->traceparent.data) {
                cm_json_key(json, "traceparent");
                cm_json_text(json, event->traceparent);
        }
        cm_json_key(json, "data");
        cm_json_raw(json, event->data);
        cm_json_object_end(json);
}

void cm_outbox_payload(const struct cm_event *events, size_t count, struct cm_buf *out)
{
        struct cm_json_writer json;

        cm_json_writer_init(&json, out);
        cm_json_array(&json);
        for (size_t i = 0; i < count; i++)
                write_event(&json, &events[i]);
        cm_json_array_end(&json);
}

void cm_outbox_params(const struct cm_event *events, size_t count, struct cm_pg_params *params)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };

        cm_outbox_payload(events, count, &payload);
        cm_pg_put_jsonb(params, cm_buf_str(&payload));
        cm_pg_put_int4(params, (int32_t)count);
}
