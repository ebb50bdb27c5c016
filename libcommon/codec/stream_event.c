#include "codec/stream_event.h"

#define MAX_ID_DIGITS 15 /* exact in a double, as JavaScript counts */

bool cm_stream_event_is_last(struct cm_str type)
{
        return cm_str_equal(type, CM_STR("done")) || cm_str_equal(type, CM_STR("error"));
}

bool cm_stream_event_id_parse(struct cm_str text, int64_t *id_r)
{
        if (!text.len || text.len > MAX_ID_DIGITS)
                return false;
        for (size_t i = 0; i < text.len; i++)
                if (text.data[i] < '0' || text.data[i] > '9')
                        return false;
        return cm_str_to_int(text, id_r);
}
