#include "apple_map.h"

#include <string.h>

#include "apple_types.h"
#include "base/mem.h"

enum element {
        ELEMENT_NONE,
        ELEMENT_RECORD,
        ELEMENT_CORRELATION,
        ELEMENT_WORKOUT,
        ELEMENT_SUMMARY, /* of a day's activity: what the samples say themselves */
        ELEMENT_ABOUT,   /* the person, the date: no record */
        ELEMENT_OTHER,
};

struct apple_map {
        struct apple_facts *facts;
        struct import_tally *tally;
        bool root;
        bool complete;
        int64_t records;
        int64_t rejected;

        /* The top-level element that is open; its texts live in `arena`. */
        enum element open;
        struct cm_arena arena;
        int64_t line;
        struct cm_str name;
        struct apple_record record;
        struct apple_pressure pressure;
        struct apple_workout workout;
};

struct apple_map *apple_map_new(struct apple_facts *facts, struct import_tally *tally)
{
        struct apple_map *map = CM_NEW(struct apple_map);

        map->facts = facts;
        map->tally = tally;
        cm_arena_init(&map->arena, 4096);
        return map;
}

void apple_map_free(struct apple_map **map)
{
        if (!*map)
                return;
        cm_arena_deinit(&(*map)->arena);
        cm_free(*map);
        *map = NULL;
}

void apple_map_resume(struct apple_map *map, int64_t records, int64_t rejected)
{
        map->root = true;
        map->records = records;
        map->rejected = rejected;
}

bool apple_map_is_between(const struct apple_map *map)
{
        return map->open == ELEMENT_NONE;
}

bool apple_map_is_complete(const struct apple_map *map)
{
        return map->complete;
}

void apple_map_counts(const struct apple_map *map, struct import_progress *progress_r)
{
        progress_r->records = map->records;
        progress_r->rejected = map->rejected;
        progress_r->understood = import_tally_total(map->tally, IMPORT_UNDERSTOOD);
        progress_r->without_fact = import_tally_total(map->tally, IMPORT_WITHOUT_FACT);
        progress_r->not_understood = import_tally_total(map->tally, IMPORT_NOT_UNDERSTOOD);
}

/* ---- counting what a record came to */

static void add_finding(struct import_batch *batch, int64_t line, struct cm_str type,
                        struct cm_str reason)
{
        if (batch->finding_count == IMPORT_BATCH_FINDINGS)
                return;
        if (type.len > 100)
                type.len = 100;
        while (type.len && !cm_utf8_is_valid(type))
                type.len--;
        batch->findings[batch->finding_count++] = (struct import_finding){
                .line = line,
                .type = cm_arena_str(&batch->arena, type),
                .reason = cm_arena_str(&batch->arena, reason),
        };
}

static void count(struct apple_map *map, struct import_batch *batch, enum apple_fact fact,
                  struct cm_str name, int64_t line, struct cm_str reason)
{
        map->records++;
        if (!name.len)
                name = CM_STR("(no type)");
        switch (fact) {
        case APPLE_FACT:
                batch->event_count++;
                import_tally_add(map->tally, IMPORT_UNDERSTOOD, name, line);
                break;
        case APPLE_FACT_NONE:
                import_tally_add(map->tally, IMPORT_WITHOUT_FACT, name, line);
                break;
        case APPLE_FACT_UNKNOWN:
                import_tally_add(map->tally, IMPORT_NOT_UNDERSTOOD, name, line);
                break;
        case APPLE_FACT_REJECTED:
                map->rejected++;
                add_finding(batch, line, name, reason);
                break;
        }
}

static void finish_record(struct apple_map *map, const struct apple_record *record, int64_t line,
                          struct import_batch *batch)
{
        struct cm_str reason = CM_STR_NONE;
        enum apple_fact fact = apple_fact_of_record(map->facts, record, &batch->arena,
                                                    &batch->events[batch->event_count], &reason);

        count(map, batch, fact, apple_type_name(record->type), line, reason);
}

static void finish_correlation(struct apple_map *map, struct import_batch *batch)
{
        struct cm_str reason = CM_STR_NONE, name = apple_type_name(map->record.type);
        enum apple_fact fact = APPLE_FACT_UNKNOWN;

        map->pressure.of = map->record;
        if (cm_str_equal(name, CM_STR("BloodPressure")))
                fact = apple_fact_of_pressure(map->facts, &map->pressure, &batch->arena,
                                              &batch->events[batch->event_count], &reason);
        count(map, batch, fact, name, map->line, reason);
}

static void finish_workout(struct apple_map *map, struct import_batch *batch)
{
        struct cm_str reason = CM_STR_NONE;
        enum apple_fact fact;

        map->workout.of = map->record;
        fact = apple_fact_of_workout(map->facts, &map->workout, &batch->arena,
                                     &batch->events[batch->event_count], &reason);
        count(map, batch, fact, CM_STR("Workout"), map->line, reason);
}

/* The open element has ended. */
static void finish(struct apple_map *map, struct import_batch *batch)
{
        switch (map->open) {
        case ELEMENT_RECORD:
                finish_record(map, &map->record, map->line, batch);
                break;
        case ELEMENT_CORRELATION:
                finish_correlation(map, batch);
                break;
        case ELEMENT_WORKOUT:
                finish_workout(map, batch);
                break;
        case ELEMENT_SUMMARY:
                count(map, batch, APPLE_FACT_NONE, map->name, map->line, CM_STR_NONE);
                break;
        case ELEMENT_OTHER:
                count(map, batch, APPLE_FACT_UNKNOWN, map->name, map->line, CM_STR_NONE);
                break;
        case ELEMENT_ABOUT:
        case ELEMENT_NONE:
                break;
        }
        map->open = ELEMENT_NONE;
        cm_arena_reset(&map->arena);
}

/* ---- attributes */

static void take_attribute(struct apple_record *record, const struct apple_attribute *attribute)
{
        static const struct {
                struct cm_str name;
                size_t offset;
        } names[] = {
                { { "type", 4 }, offsetof(struct apple_record, type) },
                { { "unit", 4 }, offsetof(struct apple_record, unit) },
                { { "value", 5 }, offsetof(struct apple_record, value) },
                { { "sourceName", 10 }, offsetof(struct apple_record, source) },
                { { "startDate", 9 }, offsetof(struct apple_record, start) },
                { { "endDate", 7 }, offsetof(struct apple_record, end) },
                { { "workoutActivityType", 19 }, offsetof(struct apple_record, type) },
        };

        for (size_t i = 0; i < CM_COUNT(names); i++) {
                if (!cm_str_equal(attribute->name, names[i].name))
                        continue;
                *(struct cm_str *)((char *)record + names[i].offset) = attribute->value;
                return;
        }
}

static void read_record(const struct apple_token *token, struct apple_record *record_r)
{
        *record_r = (struct apple_record){ 0 };
        for (size_t i = 0; i < token->count; i++)
                take_attribute(record_r, &token->attributes[i]);
}

static void keep(struct apple_map *map, struct cm_str *text)
{
        *text = cm_arena_str(&map->arena, *text);
}

static void keep_record(struct apple_map *map)
{
        keep(map, &map->record.type);
        keep(map, &map->record.unit);
        keep(map, &map->record.value);
        keep(map, &map->record.source);
        keep(map, &map->record.start);
        keep(map, &map->record.end);
}

static struct apple_amount read_amount(struct apple_map *map, const struct apple_token *token,
                                       const char *value, const char *unit)
{
        return (struct apple_amount){ cm_arena_str(&map->arena, apple_token_get(token, value)),
                                      cm_arena_str(&map->arena, apple_token_get(token, unit)) };
}

/* ---- elements */

static enum element element_of(struct cm_str name)
{
        static const struct {
                struct cm_str name;
                enum element element;
        } names[] = {
                { { "Record", 6 }, ELEMENT_RECORD },
                { { "Correlation", 11 }, ELEMENT_CORRELATION },
                { { "Workout", 7 }, ELEMENT_WORKOUT },
                { { "ActivitySummary", 15 }, ELEMENT_SUMMARY },
                { { "ExportDate", 10 }, ELEMENT_ABOUT },
                { { "Me", 2 }, ELEMENT_ABOUT },
        };

        for (size_t i = 0; i < CM_COUNT(names); i++)
                if (cm_str_equal(name, names[i].name))
                        return names[i].element;
        return ELEMENT_OTHER;
}

static void start_element(struct apple_map *map, const struct apple_token *token, int64_t line,
                          struct import_batch *batch)
{
        enum element element = element_of(token->name);

        read_record(token, &map->record);
        if (element == ELEMENT_RECORD && token->empty) { /* nearly all of them: nothing is copied */
                finish_record(map, &map->record, line, batch);
                return;
        }
        map->open = element;
        map->line = line;
        map->name = cm_arena_str(&map->arena, token->name);
        map->pressure = (struct apple_pressure){ 0 };
        map->workout = (struct apple_workout){ 0 };
        keep_record(map);
        if (element == ELEMENT_WORKOUT) {
                map->workout.duration = read_amount(map, token, "duration", "durationUnit");
                map->workout.distance =
                        read_amount(map, token, "totalDistance", "totalDistanceUnit");
                map->workout.energy =
                        read_amount(map, token, "totalEnergyBurned", "totalEnergyBurnedUnit");
        }
        if (token->empty)
                finish(map, batch);
}

static void read_metadata(struct apple_map *map, const struct apple_token *token)
{
        struct cm_str key = apple_token_get(token, "key");
        struct cm_str value = apple_token_get(token, "value");

        if (cm_str_equal(key, CM_STR("HKTimeZone")))
                map->record.zone = cm_arena_str(&map->arena, value);
        else if (cm_str_equal(key, CM_STR("HKBloodGlucoseMealTime")))
                map->record.meal_time = cm_arena_str(&map->arena, value);
}

/* Sums of a workout. The first of a kind is that of the whole; those of its parts come later. */
static void read_statistics(struct apple_map *map, const struct apple_token *token)
{
        struct cm_str type = apple_type_name(apple_token_get(token, "type"));

        if (cm_str_starts(type, CM_STR("Distance")) && !map->workout.distance.value.data)
                map->workout.distance = read_amount(map, token, "sum", "unit");
        else if (cm_str_equal(type, CM_STR("ActiveEnergyBurned")) &&
                 !map->workout.energy.value.data)
                map->workout.energy = read_amount(map, token, "sum", "unit");
}

static void read_part(struct apple_map *map, const struct apple_token *token)
{
        struct apple_record part;
        struct cm_str name;

        read_record(token, &part);
        name = apple_type_name(part.type);
        keep(map, &part.value);
        keep(map, &part.unit);
        if (cm_str_equal(name, CM_STR("BloodPressureSystolic"))) {
                map->pressure.systolic = part.value;
                map->pressure.systolic_unit = part.unit;
        } else if (cm_str_equal(name, CM_STR("BloodPressureDiastolic"))) {
                map->pressure.diastolic = part.value;
                map->pressure.diastolic_unit = part.unit;
        }
}

/* A start tag inside an open element. False when it cannot be inside: the open one was not closed.
 */
static bool start_inside(struct apple_map *map, const struct apple_token *token)
{
        enum element element = element_of(token->name);

        if (element == ELEMENT_RECORD && map->open == ELEMENT_CORRELATION) {
                read_part(map, token);
                return true;
        }
        if (element != ELEMENT_OTHER)
                return false;
        if (cm_str_equal(token->name, CM_STR("MetadataEntry")))
                read_metadata(map, token);
        else if (map->open == ELEMENT_WORKOUT &&
                 cm_str_equal(token->name, CM_STR("WorkoutStatistics")))
                read_statistics(map, token);
        return true;
}

static void damaged(struct apple_map *map, int64_t line, struct import_batch *batch)
{
        count(map, batch, APPLE_FACT_REJECTED, CM_STR("(unreadable)"), line,
              CM_STR("the tag cannot be read"));
}

int apple_map_token(struct apple_map *map, struct apple_scan *scan, const struct apple_token *token,
                    struct import_batch *batch)
{
        const struct cm_str root = CM_STR("HealthData");

        if (!map->root) {
                map->root = token->kind == APPLE_START && cm_str_equal(token->name, root);
                map->complete = map->root && token->empty;
                return map->root ? 0 : APPLE_MAP_NOT_APPLE;
        }
        if (map->complete)
                return 0;
        if (token->kind == APPLE_END) {
                if (cm_str_equal(token->name, root)) {
                        finish(map, batch);
                        map->complete = true;
                } else if (map->open != ELEMENT_NONE && cm_str_equal(token->name, map->name)) {
                        finish(map, batch);
                }
                return 0;
        }
        if (token->kind == APPLE_START && map->open != ELEMENT_NONE && start_inside(map, token))
                return 0;
        if (token->kind == APPLE_DAMAGED) {
                damaged(map, apple_scan_line(scan), batch);
                return 0;
        }
        finish(map, batch);
        start_element(map, token, apple_scan_line(scan), batch);
        return 0;
}
