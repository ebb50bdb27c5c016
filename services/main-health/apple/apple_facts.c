/*
 * The id of an imported event is made from what identifies a sample at its source: type, start,
 * end, value, unit and source, with times as instants, because the same record is written with
 * another offset when the export is made in another zone. So the same record has the same id
 * however often, and in whichever file, it comes; the same sample seen by two devices has two.
 *
 * Zones: a phone writes all times with the offset of the place where the export was made. Where it
 * kept the zone of the sample itself (HKTimeZone), that holds. Otherwise it is the person's own
 * zone if that had this offset then, and the bare offset if not.
 */
#include "apple_facts.h"

#include <string.h>

#include "apple_types.h"
#include "codec/digest.h"
#include "events/event_time.h"
#include "events/plausible_ranges.h"
#include "schemas.h"

#define MAX_SOURCE       100
#define FUTURE_TOLERANCE CM_DAY /* the zone of "now" may not be the export's */

struct fact {
        struct apple_facts *facts;
        const struct apple_record *record;
        struct cm_arena *arena;
        struct imported_event *event;
        struct cm_str *reason;
};

static enum apple_fact reject(const struct fact *fact, const char *reason)
{
        *fact->reason = cm_str_from(reason);
        return APPLE_FACT_REJECTED;
}

/* ---- when and where */

static struct cm_str offset_name(struct cm_arena *arena, int minutes)
{
        int size = minutes < 0 ? -minutes : minutes;

        return cm_arena_printf(arena, "%c%02d:%02d", minutes < 0 ? '-' : '+', size / 60, size % 60);
}

static const struct cm_zone *choose_zone(const struct fact *fact, int offset_minutes,
                                         struct cm_str *name_r)
{
        struct apple_facts *facts = fact->facts;
        struct cm_str own = fact->record->zone;
        const struct cm_zone *zone = NULL;

        if (own.data && own.len <= 64)
                zone = cm_zones_get(facts->zones, own);
        if (zone) {
                *name_r = cm_arena_str(fact->arena, own);
                return zone;
        }
        zone = cm_zones_get(facts->zones, facts->home_zone);
        if (zone && cm_zone_offset(zone, fact->event->occurred_at) == offset_minutes * 60) {
                *name_r = cm_arena_str(fact->arena, facts->home_zone); /* outlives the reader */
                return zone;
        }
        *name_r = offset_name(fact->arena, offset_minutes);
        return cm_zones_get(facts->zones, *name_r);
}

static enum apple_fact place_in_time(const struct fact *fact)
{
        struct imported_event *event = fact->event;
        const struct cm_zone *zone;
        cm_time end;
        int offset, end_offset;

        if (!apple_time_parse(fact->record->start, &event->occurred_at, &offset))
                return reject(fact, "startDate is not a time");
        if (!apple_time_parse(fact->record->end, &end, &end_offset))
                return reject(fact, "endDate is not a time");
        if (end < event->occurred_at)
                return reject(fact, "endDate is before startDate");
        if (event->occurred_at < cm_date_from_civil(1900, 1, 1) * CM_DAY)
                return reject(fact, "startDate is before 1900");
        if (end > fact->facts->now + FUTURE_TOLERANCE)
                return reject(fact, "endDate is in the future");
        event->ended_at = end > event->occurred_at ? end : EVENT_NO_END;
        zone = choose_zone(fact, offset, &event->zone);
        if (!zone)
                return reject(fact, "startDate has an offset that no zone has");
        event->local_date = event_local_date(event->event_type, event->event_subtype, zone,
                                             event->occurred_at, event->ended_at);
        return APPLE_FACT;
}

/* ---- who says so, and which record it is */

static struct cm_str source_name(const struct fact *fact)
{
        struct cm_str source = fact->record->source;
        size_t room = MAX_SOURCE - strlen("apple_health:");

        if (!source.len)
                return CM_STR("apple_health");
        if (source.len > room) {
                source.len = room;
                while (source.len && ((unsigned char)source.data[source.len] & 0xC0) == 0x80)
                        source.len--;
        }
        return cm_arena_printf(fact->arena, "apple_health:%.*s", CM_STR_ARG(source));
}

static void hash_text(struct cm_buf *buf, struct cm_str text)
{
        uint32_t len = (uint32_t)text.len;

        cm_buf_add(buf, &len, sizeof(len));
        cm_buf_add_str(buf, text);
}

/* Version 8 (RFC 9562): 48 bits of milliseconds, then the hash. */
static void identify(const struct fact *fact, struct cm_str value, struct cm_str more)
{
        struct imported_event *event = fact->event;
        struct cm_buf *buf = &fact->facts->scratch;
        uint64_t ms = event->occurred_at < 0 ? 0 : (uint64_t)event->occurred_at / 1000;
        int64_t times[2] = { event->occurred_at, event->ended_at };
        uint8_t digest[CM_SHA256_SIZE];

        cm_buf_reset(buf);
        cm_buf_add(buf, times, sizeof(times));
        hash_text(buf, fact->record->type);
        hash_text(buf, value);
        hash_text(buf, more);
        hash_text(buf, fact->record->source);
        cm_sha256(buf->data, buf->len, digest);
        for (int i = 0; i < 6; i++)
                event->id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
        memcpy(event->id.bytes + 6, digest, 10);
        event->id.bytes[6] = (event->id.bytes[6] & 0x0F) | 0x80;
        event->id.bytes[8] = (event->id.bytes[8] & 0x3F) | 0x80;
}

/* ---- what */

static void encode(const struct fact *fact, const struct cm_schema *schema, const void *data)
{
        struct cm_buf *buf = &fact->facts->scratch;

        cm_buf_reset(buf);
        cm_schema_encode(schema, data, buf);
        fact->event->event_data = cm_arena_str(fact->arena, cm_buf_str(buf));
}

static enum apple_fact start_vital(const struct fact *fact, int16_t subtype)
{
        fact->event->event_type = HEALTH_EVENT_TYPE_VITAL;
        fact->event->event_subtype = subtype;
        return place_in_time(fact);
}

static enum apple_fact finish(const struct fact *fact, struct cm_str value, struct cm_str more)
{
        fact->event->source = source_name(fact);
        identify(fact, value, more);
        return APPLE_FACT;
}

/* Sets the flags of a value that is possible. */
static enum apple_fact judge(const struct fact *fact, const struct vital_kind *kind,
                             enum plausibility found)
{
        switch (found) {
        case PLAUSIBLE:
                return APPLE_FACT;
        case UNUSUALLY_LOW:
                fact->event->flags = 1 << (HEALTH_EVENT_FLAG_UNUSUALLY_LOW - 1);
                return APPLE_FACT;
        case UNUSUALLY_HIGH:
                fact->event->flags = 1 << (HEALTH_EVENT_FLAG_UNUSUALLY_HIGH - 1);
                return APPLE_FACT;
        case UNKNOWN_UNIT:
                return reject(fact, "unit does not measure this");
        case IMPLAUSIBLE:
                *fact->reason = cm_arena_printf(fact->arena, "value must be from %.15g to %.15g %s",
                                                kind->low, kind->high, kind->unit);
                return APPLE_FACT_REJECTED;
        }
        return APPLE_FACT_UNKNOWN;
}

static int32_t meal_context(struct cm_str meal_time)
{
        if (cm_str_equal(meal_time, CM_STR("1")))
                return MEASUREMENT_CONTEXT_BEFORE_MEAL;
        return cm_str_equal(meal_time, CM_STR("2")) ? MEASUREMENT_CONTEXT_AFTER_MEAL : 0;
}

static enum apple_fact quantity(const struct fact *fact, const struct apple_type *type)
{
        const struct vital_kind *kind = vital_kind_find(type->subtype);
        struct vital_data data = { .has_value = CM_PRESENT, .has_unit = CM_PRESENT };
        struct apple_decimal value;
        struct apple_unit unit;
        enum apple_fact r;

        if (!apple_decimal_parse(fact->record->value, &value))
                return reject(fact, "value is not a number");
        if (!apple_unit_find(type, fact->record->unit, &unit))
                return reject(fact, "unit is not known");
        if (type->kind == APPLE_FRACTION && apple_decimal_real(value) <= 1)
                unit.factor = (struct apple_decimal){ 100, 0 };
        if (unit.factor.digits != 1 || unit.factor.scale != 0)
                value = apple_decimal_multiply(value, unit.factor);
        data.value = apple_decimal_real(value);
        data.unit = cm_str_from(unit.code);
        data.context = meal_context(fact->record->meal_time);
        data.has_context = data.context ? CM_PRESENT : CM_ABSENT;
        r = judge(fact, kind, vital_check(kind, data.value, data.unit, NULL));
        if (r != APPLE_FACT)
                return r;
        encode(fact, &vital_data_schema, &data);
        return finish(fact, fact->record->value, data.unit);
}

static enum apple_fact minutes(const struct fact *fact)
{
        const struct imported_event *event = fact->event;
        const struct vital_kind *kind = vital_kind_find(event->event_subtype);
        struct vital_data data = { .has_value = CM_PRESENT,
                                   .unit = CM_STR("min"),
                                   .has_unit = CM_PRESENT };
        enum apple_fact r;

        if (event->ended_at != EVENT_NO_END)
                data.value = (double)(event->ended_at - event->occurred_at) / CM_MINUTE;
        r = judge(fact, kind, vital_check(kind, data.value, data.unit, NULL));
        if (r != APPLE_FACT)
                return r;
        encode(fact, &vital_data_schema, &data);
        return finish(fact, CM_STR_NONE, CM_STR_NONE);
}

static enum apple_fact sleep_stage(const struct fact *fact)
{
        struct vital_data data = { .has_stage = CM_PRESENT };

        data.stage = apple_sleep_stage(fact->record->value);
        if (!data.stage)
                return reject(fact, "value is no known stage of sleep");
        if (fact->event->ended_at == EVENT_NO_END)
                return APPLE_FACT_NONE; /* no time passed */
        if (fact->event->ended_at - fact->event->occurred_at > CM_DAY)
                return reject(fact, "sleep is longer than 24 hours");
        encode(fact, &vital_data_schema, &data);
        return finish(fact, fact->record->value, CM_STR_NONE);
}

static enum apple_fact symptom(const struct fact *fact, const struct apple_type *type)
{
        struct cm_str name = cm_str_from(type->label);
        struct symptom_data data = { .symptoms = { &name, 1 } };
        int severity = apple_severity(fact->record->value);
        enum apple_fact r;

        if (severity == -3)
                return reject(fact, "value is no known severity");
        if (severity == -2)
                return APPLE_FACT_NONE;
        fact->event->event_type = HEALTH_EVENT_TYPE_SYMPTOM;
        fact->event->event_subtype = SYMPTOM_SUBTYPE_GENERAL;
        r = place_in_time(fact);
        if (r != APPLE_FACT)
                return r;
        if (severity >= 0) {
                data.severity = severity;
                data.has_severity = CM_PRESENT;
        }
        encode(fact, &symptom_data_schema, &data);
        return finish(fact, fact->record->value, CM_STR_NONE);
}

enum apple_fact apple_fact_of_record(struct apple_facts *facts, const struct apple_record *record,
                                     struct cm_arena *arena, struct imported_event *event_r,
                                     struct cm_str *reason_r)
{
        const struct fact fact = { facts, record, arena, event_r, reason_r };
        const struct apple_type *type = apple_type_find(record->type);
        enum apple_fact r;

        if (!type)
                return APPLE_FACT_UNKNOWN;
        *event_r = (struct imported_event){ 0 };
        if (type->kind == APPLE_PRESSURE_PART)
                return APPLE_FACT_NONE;
        if (type->kind == APPLE_SYMPTOM)
                return symptom(&fact, type);
        r = start_vital(&fact, type->subtype);
        if (r != APPLE_FACT)
                return r;
        if (type->kind == APPLE_SLEEP)
                return sleep_stage(&fact);
        return type->kind == APPLE_MINUTES ? minutes(&fact) : quantity(&fact, type);
}

/* ---- blood pressure */

static bool in_mmhg(struct cm_str text, struct cm_str unit_text, double *value_r)
{
        const struct apple_type *type =
                apple_type_find(CM_STR("HKQuantityTypeIdentifierBloodPressureSystolic"));
        struct apple_decimal value;
        struct apple_unit unit;

        if (!apple_decimal_parse(text, &value) || !apple_unit_find(type, unit_text, &unit) ||
            strcmp(unit.code, type->unit) != 0)
                return false;
        *value_r = apple_decimal_real(apple_decimal_multiply(value, unit.factor));
        return true;
}

enum apple_fact apple_fact_of_pressure(struct apple_facts *facts,
                                       const struct apple_pressure *pressure,
                                       struct cm_arena *arena, struct imported_event *event_r,
                                       struct cm_str *reason_r)
{
        const struct fact fact = { facts, &pressure->of, arena, event_r, reason_r };
        struct vital_data data = { .has_systolic = CM_PRESENT, .has_diastolic = CM_PRESENT };
        enum apple_fact r;

        *event_r = (struct imported_event){ 0 };
        r = start_vital(&fact, VITAL_SUBTYPE_BLOOD_PRESSURE);
        if (r != APPLE_FACT)
                return r;
        if (!pressure->systolic.data || !pressure->diastolic.data)
                return reject(&fact, "blood pressure without its two values");
        if (!in_mmhg(pressure->systolic, pressure->systolic_unit, &data.systolic) ||
            !in_mmhg(pressure->diastolic, pressure->diastolic_unit, &data.diastolic))
                return reject(&fact, "blood pressure that is not a number of mmHg");
        r = judge(&fact, vital_kind_find(VITAL_SUBTYPE_BLOOD_PRESSURE),
                  blood_pressure_check(data.systolic, data.diastolic));
        if (r != APPLE_FACT)
                return reject(&fact, "blood pressure outside of what can be, or upside down");
        encode(&fact, &vital_data_schema, &data);
        return finish(&fact, pressure->systolic, pressure->diastolic);
}

/* ---- workouts */

/* In `unit`; false when it is absent, no number, or measures something else. */
static bool amount_in(const struct apple_amount *amount, const char *usual, const char *unit,
                      double *value_r)
{
        const struct apple_type any = { .unit = usual };
        struct apple_decimal value;
        struct apple_unit known;

        return amount->value.data && apple_decimal_parse(amount->value, &value) &&
               apple_unit_find(&any, amount->unit, &known) &&
               unit_convert(apple_decimal_real(apple_decimal_multiply(value, known.factor)),
                            cm_str_from(known.code), unit, value_r) &&
               *value_r >= 0;
}

static void workout_data(const struct fact *fact, const struct apple_workout *workout,
                         struct vital_data *data)
{
        const struct imported_event *event = fact->event;

        if (amount_in(&workout->duration, "min", "min", &data->duration)) {
                data->has_duration = CM_PRESENT;
        } else if (event->ended_at != EVENT_NO_END) {
                data->duration = (double)(event->ended_at - event->occurred_at) / CM_MINUTE;
                data->has_duration = CM_PRESENT;
        }
        if (amount_in(&workout->distance, "km", "m", &data->distance))
                data->has_distance = CM_PRESENT;
        if (amount_in(&workout->energy, "kcal", "kcal", &data->energy))
                data->has_energy = CM_PRESENT;
}

enum apple_fact apple_fact_of_workout(struct apple_facts *facts,
                                      const struct apple_workout *workout, struct cm_arena *arena,
                                      struct imported_event *event_r, struct cm_str *reason_r)
{
        const struct fact fact = { facts, &workout->of, arena, event_r, reason_r };
        struct vital_data data = { .has_activity = CM_PRESENT };
        char activity[101];
        enum apple_fact r;

        *event_r = (struct imported_event){ 0 };
        r = start_vital(&fact, VITAL_SUBTYPE_WORKOUT);
        if (r != APPLE_FACT)
                return r;
        data.activity = (struct cm_str){ activity, apple_activity_name(workout->of.type, activity,
                                                                       sizeof(activity)) };
        if (!data.activity.len)
                return reject(&fact, "workout without an activity");
        workout_data(&fact, workout, &data);
        if (data.has_duration && data.duration > (double)CM_DAY / CM_MINUTE)
                return reject(&fact, "workout is longer than 24 hours");
        if ((data.has_distance && data.distance > 10000000) ||
            (data.has_energy && data.energy > 100000))
                return reject(&fact, "workout with more distance or energy than can be");
        encode(&fact, &vital_data_schema, &data);
        return finish(&fact, CM_STR_NONE, CM_STR_NONE);
}
