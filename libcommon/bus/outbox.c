#include "bus/outbox.h"

#include <string.h>

#include "base/assert.h"
#include "base/attr.h"

const struct cm_pg_statement cm_outbox_insert = {
        .name = "outbox-insert",
        .sql = "WITH written AS (INSERT INTO outbox (payload, event_count)"
               " VALUES ($1::text, $2::int4) RETURNING id)"
               " SELECT pg_notify('" CM_OUTBOX_CHANNEL "', '') FROM written",
        .writes = true,
};

static void write_uuid(struct cm_buf *out, const struct cm_uuid *value)
{
        char text[CM_UUID_TEXT_SIZE];

        if (!cm_uuid_is_nil(value))
                cm_buf_add_str(out, cm_str_from(cm_uuid_format(value, text)));
        cm_buf_add_char(out, '\t');
}

static void write_text(struct cm_buf *out, struct cm_str value)
{
        cm_buf_add_str(out, value);
        cm_buf_add_char(out, '\t');
}

/* Neither a name nor JSON as it is written here has a tab or a line break. */
static void write_event(struct cm_buf *out, const struct cm_event *event)
{
        char time[CM_TIME_TEXT_SIZE];

        write_uuid(out, &event->id);
        write_text(out, event->source);
        write_text(out, event->type);
        write_text(out, cm_str_from(cm_time_format(event->time, time)));
        write_uuid(out, &event->subject);
        write_uuid(out, &event->tenant);
        write_text(out, event->traceparent);
        CM_ASSERT(event->data.len && !memchr(event->data.data, '\n', event->data.len));
        cm_buf_add_str(out, event->data);
}

void cm_outbox_payload(const struct cm_event *events, size_t count, struct cm_buf *out)
{
        for (size_t i = 0; i < count; i++) {
                if (i)
                        cm_buf_add_char(out, '\n');
                write_event(out, &events[i]);
        }
}

static bool read_uuid(struct cm_str text, struct cm_uuid *uuid_r)
{
        return !text.len || cm_uuid_parse(text, uuid_r);
}

static bool read_event(struct cm_str line, struct cm_event *event_r)
{
        struct cm_str id, time, subject, tenant, traceparent;

        *event_r = (struct cm_event){ 0 };
        if (!cm_str_split(&line, '\t', &id) || !cm_str_split(&line, '\t', &event_r->source) ||
            !cm_str_split(&line, '\t', &event_r->type) || !cm_str_split(&line, '\t', &time) ||
            !cm_str_split(&line, '\t', &subject) || !cm_str_split(&line, '\t', &tenant) ||
            !cm_str_split(&line, '\t', &traceparent) || !line.data)
                return false;
        if (traceparent.len)
                event_r->traceparent = traceparent;
        event_r->data = line;
        return cm_uuid_parse(id, &event_r->id) && cm_time_parse(time, &event_r->time, NULL) &&
               read_uuid(subject, &event_r->subject) && read_uuid(tenant, &event_r->tenant);
}

bool cm_outbox_read(struct cm_str payload, struct cm_event *events_r, size_t count)
{
        struct cm_str line;
        size_t done = 0;

        while (done < count && cm_str_split(&payload, '\n', &line))
                if (!read_event(line, &events_r[done++]))
                        return false;
        return done == count && !payload.data;
}

void cm_outbox_params(const struct cm_event *events, size_t count, struct cm_pg_params *params)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf payload = { 0 };

        cm_outbox_payload(events, count, &payload);
        cm_pg_put_text(params, cm_buf_str(&payload));
        cm_pg_put_int4(params, (int32_t)count);
}
