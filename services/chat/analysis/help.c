#include "help.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

struct country_of_zone {
        struct cm_str country, zone;
};

struct help {
        struct cm_arena arena;
        struct help_resource *resources;
        size_t resource_count;
        struct country_of_zone *zones;
        size_t zone_count;
};

static size_t count_lines(struct cm_str table)
{
        size_t lines = 1;

        for (size_t i = 0; i < table.len; i++)
                lines += table.data[i] == '\n';
        return lines;
}

static bool is_row(struct cm_str line)
{
        return line.len && line.data[0] != '#';
}

static const char *read_resources(struct help *help, struct cm_str table)
{
        struct cm_str line;

        help->resources =
                cm_arena_array(&help->arena, count_lines(table), sizeof(*help->resources));
        while (cm_str_split(&table, '\n', &line)) {
                struct help_resource *it = &help->resources[help->resource_count];
                struct cm_str *const columns[] = { &it->country, &it->kind,   &it->language,
                                                   &it->name,    &it->reach,  &it->hours,
                                                   &it->spoken,  &it->source, &it->checked_on };

                if (!is_row(line))
                        continue;
                for (size_t i = 0; i < CM_COUNT(columns); i++)
                        if (!cm_str_split(&line, '\t', columns[i]) || !columns[i]->len)
                                return "a resource has an empty column or too few of them";
                if (line.data)
                        return "a resource has too many columns";
                help->resource_count++;
        }
        return help->resource_count ? NULL : "there is no resource";
}

static const char *read_zones(struct help *help, struct cm_str table)
{
        struct cm_str line;

        help->zones = cm_arena_array(&help->arena, count_lines(table), sizeof(*help->zones));
        while (cm_str_split(&table, '\n', &line)) {
                struct country_of_zone *it = &help->zones[help->zone_count];

                if (!is_row(line))
                        continue;
                if (!cm_str_split(&line, '\t', &it->country) || !line.len)
                        return "a zone needs a country and a name";
                it->zone = line;
                help->zone_count++;
        }
        return NULL;
}

static bool has_fallback(const struct help *help, const char *language)
{
        for (size_t i = 0; i < help->resource_count; i++)
                if (cm_str_equal(help->resources[i].country, CM_STR("*")) &&
                    cm_str_equal(help->resources[i].language, cm_str_from(language)))
                        return true;
        return false;
}

struct help *help_new(struct cm_str resources, struct cm_str countries, const char **error_r)
{
        struct help *help = CM_NEW(struct help);

        cm_arena_init(&help->arena, 16384);
        *error_r = read_resources(help, resources);
        if (!*error_r)
                *error_r = read_zones(help, countries);
        if (!*error_r && (!has_fallback(help, "en") || !has_fallback(help, "he")))
                *error_r = "resources for anywhere (*) are missing in English or Hebrew";
        if (*error_r)
                help_free(&help);
        return help;
}

void help_free(struct help **help)
{
        struct help *it = *help;

        if (!it)
                return;
        cm_arena_deinit(&it->arena);
        cm_free(it);
        *help = NULL;
}

cm_time help_oldest_check(const struct help *help, size_t *never_r)
{
        cm_date oldest = INT32_MAX, day;

        *never_r = 0;
        for (size_t i = 0; i < help->resource_count; i++) {
                if (!cm_date_parse(help->resources[i].checked_on, &day))
                        (*never_r)++;
                else if (day < oldest)
                        oldest = day;
        }
        return *never_r ? 0 : (cm_time)oldest * CM_DAY;
}

/* ---- whom */

static bool is_known(const struct help *help, struct cm_str country)
{
        for (size_t i = 0; i < help->resource_count; i++)
                if (cm_str_equal(help->resources[i].country, country))
                        return true;
        return false;
}

/* The region of a language tag: two capital letters behind a hyphen. */
static struct cm_str region(struct cm_str tag)
{
        struct cm_str part;

        while (cm_str_split(&tag, '-', &part))
                if (part.len == 2 && isupper((unsigned char)part.data[0]) &&
                    isupper((unsigned char)part.data[1]))
                        return part;
        return CM_STR_NONE;
}

struct cm_str help_country(const struct help *help, struct cm_str time_zone, struct cm_str tag)
{
        struct cm_str country = region(tag);

        for (size_t i = 0; i < help->zone_count; i++)
                if (cm_str_equal(help->zones[i].zone, time_zone))
                        return help->zones[i].country;
        return country.data && is_known(help, country) ? country : CM_STR("*");
}

static size_t collect(const struct help *help, struct cm_str country, struct cm_str language,
                      const struct help_resource **out)
{
        size_t count = 0;

        for (size_t i = 0; i < help->resource_count; i++) {
                const struct help_resource *it = &help->resources[i];

                if (cm_str_equal(it->country, country) &&
                    (!language.data || cm_str_equal(it->language, language)))
                        out[count++] = it;
        }
        return count;
}

const struct help_resource **help_resources(const struct help *help, struct cm_arena *arena,
                                            struct cm_str country, enum chat_language language,
                                            size_t *count_r)
{
        struct cm_str name = cm_str_from(chat_language_name(language));
        const struct help_resource **out =
                cm_arena_array(arena, help->resource_count, sizeof(struct help_resource *));

        *count_r = collect(help, country, name, out);
        if (!*count_r)
                *count_r = collect(help, country, CM_STR_NONE, out);
        if (!*count_r)
                *count_r = collect(help, CM_STR("*"), name, out);
        if (!*count_r)
                *count_r = collect(help, CM_STR("*"), CM_STR("en"), out);
        return out;
}

/* ---- what is said */

struct wording {
        const char *opening, *of_another, *now, *closing;
};

static const struct wording wordings[] = {
        [CHAT_LANGUAGE_EN] = {
                "Thank you for telling me. I'm a program, not a person, and what you're carrying "
                "deserves a person. Somebody is there for you right now:",
                "Thank you for looking out for them. You don't have to carry this alone: these "
                "people help the one who is struggling, and you too:",
                "If you are in danger right now, please call the emergency number first, or go to "
                "somebody near you. If there is something at hand that could hurt you, please move "
                "away from it.",
                "Are you safe right now? You can go on writing to me, too.",
        },
        [CHAT_LANGUAGE_HE] = {
                "תודה על השיתוף. אני תוכנה ולא בן אדם, ומה שעובר עליך ראוי לאוזן של בן אדם. יש מי "
                "שמקשיב ממש עכשיו:",
                "תודה על הדאגה. לא חייבים לשאת את זה לבד: כאן עוזרים למי שקשה לו, וגם לך:",
                "אם יש סכנה ממש עכשיו, הכי חשוב להתקשר קודם למספר החירום או לגשת למישהו שנמצא "
                "בקרבת מקום. אם יש בהישג יד משהו שעלול לפגוע, עדיף להתרחק ממנו.",
                "יש כרגע תחושת ביטחון? אפשר להמשיך לכתוב גם לי.",
        },
};

struct cm_str help_text(const struct help *help, struct cm_arena *arena, struct cm_str country,
                        enum chat_language language, const struct chat_crisis *crisis)
{
        const struct wording *words =
                &wordings[language == CHAT_LANGUAGE_HE ? CHAT_LANGUAGE_HE : CHAT_LANGUAGE_EN];
        CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };
        const struct help_resource **items;
        size_t count;

        items = help_resources(help, arena, country, language, &count);
        if (crisis->level == CHAT_CRISIS_CRITICAL)
                cm_buf_printf(&out, "%s\n\n", words->now);
        cm_buf_printf(&out, "%s\n", crisis->is_of_another ? words->of_another : words->opening);
        for (size_t i = 0; i < count; i++)
                cm_buf_printf(&out, "• %.*s: %.*s (%.*s)\n", CM_STR_ARG(items[i]->name),
                              CM_STR_ARG(items[i]->reach), CM_STR_ARG(items[i]->hours));
        if (!crisis->is_of_another)
                cm_buf_printf(&out, "\n%s", words->closing);
        return cm_arena_str(arena, cm_buf_str(&out));
}
