#include <math.h>
#include <string.h>

#include "exercise_parse_internal.h"

LIST(sets_words, "sets", "set", "rounds", "round", "סטימ", "סט", "סבבימ", "סבב");
LIST(reps_words, "reps", "rep", "repetitions", "times", "חזרות", "חזרה", "פעמימ");
LIST(times_words, "x", "by", "times", "על", "כפול");
LIST(of_words, "of", "של");
LIST(kg_words, "kg", "kgs", "kilo", "kilos", "kilogram", "kilograms", "קג", "קילו", "קילוגרמ");
LIST(lb_words, "lb", "lbs", "pound", "pounds", "ליברות", "פאונד", "ליברה");
LIST(km_words, "km", "kms", "k", "kilometer", "kilometers", "kilometre", "kilometres", "קמ",
     "קילומטר", "קילומטרימ");
LIST(m_words, "m", "meter", "meters", "metre", "metres", "מטר", "מטרימ");
LIST(mi_words, "mi", "mile", "miles", "מייל", "מיילימ");
LIST(s_words, "s", "sec", "secs", "second", "seconds", "שניות", "שנ", "שנייה");
LIST(min_words, "min", "mins", "minute", "minutes", "דקה", "דקות", "דק");
LIST(h_words, "h", "hr", "hrs", "hour", "hours", "שעה", "שעות");
LIST(two_hours_words, "שעתיימ", "שעתימ");
LIST(two_minutes_words, "דקותיימ");
LIST(rpe_words, "rpe");
LIST(rir_words, "rir");
LIST(correction_words, "actually", "sorry", "meant", "mean", "rather", "correction", "wait", "בעצמ",
     "סליחה", "התכוונתי", "תיקונ", "טעות", "oops", "make");
LIST(no_words, "no", "לא");

static void add_atom(struct parse *parse, enum atom_kind kind, double value, const char *unit,
                     size_t at, size_t end)
{
        struct atom *atom = &parse->atoms[parse->atom_count];

        for (size_t i = at; i < end; i++)
                parse->taken[i] = TAKEN_BY_ATOM;
        if (parse->atom_count == MAX_ATOMS) {
                parse->is_unclear = true;
                return;
        }
        *atom = (struct atom){ kind, value, unit, at, end, false };
        /* "actually 12", "no, 62.5": within three words before, with nothing counted between. */
        for (size_t back = 1; back <= 3 && back <= at && !parse->taken[at - back]; back++)
                atom->corrects = atom->corrects || is_in(parse, at - back, correction_words) ||
                                 (is_exactly(parse, at - back, no_words) &&
                                  parse->text->words[at].breaks & CHAT_BREAK_COMMA);
        parse->atom_count++;
}

struct unit {
        const char *const *words;
        enum atom_kind kind;
        double factor;
        const char *name;
};

static const struct unit units[] = {
        { kg_words, ATOM_WEIGHT, 1, "kg" },     { lb_words, ATOM_WEIGHT, 1, "lb" },
        { km_words, ATOM_DISTANCE, 1, "km" },   { mi_words, ATOM_DISTANCE, 1, "mi" },
        { m_words, ATOM_DISTANCE, 1, "m" },     { s_words, ATOM_DURATION, 1, NULL },
        { min_words, ATOM_DURATION, 60, NULL }, { h_words, ATOM_DURATION, 3600, NULL },
        { sets_words, ATOM_SETS, 1, NULL },     { reps_words, ATOM_REPS, 1, NULL },
};

static const struct unit *unit_at(const struct parse *parse, size_t at)
{
        for (size_t i = 0; i < CM_COUNT(units); i++)
                if (is_in(parse, at, units[i].words))
                        return &units[i];
        return NULL;
}

/* "and a half", "וחצי", "ורבע" behind a unit. */
static size_t fraction_at(const struct parse *parse, size_t at, double *fraction_r)
{
        LIST(half, "half");
        LIST(and_half, "וחצי");
        LIST(and_quarter, "ורבע");
        LIST(and_word, "and");
        size_t used = 0;

        if (is_exactly(parse, at, and_half) || is_exactly(parse, at, and_quarter)) {
                *fraction_r = is_exactly(parse, at, and_half) ? 0.5 : 0.25;
                return 1;
        }
        if (!is_exactly(parse, at, and_word))
                return 0;
        used = is_exactly(parse, at + 2, half) ? 3 : is_exactly(parse, at + 1, half) ? 2 : 0;
        *fraction_r = 0.5;
        return used;
}

/* "25:30" and "1:05:10" as a duration. */
static size_t clock_at(const struct parse *parse, size_t at, double *seconds_r)
{
        const struct chat_word *words = parse->text->words;
        size_t used = 1;

        if (!words[at].is_number)
                return 0;
        *seconds_r = words[at].number;
        while (at + used < parse->text->count && words[at + used].is_number &&
               words[at + used].sign == ':' && used < 3) {
                *seconds_r = *seconds_r * 60 + words[at + used].number;
                used++;
        }
        if (used == 1)
                return 0;
        return used;
}

static size_t read_with_unit(struct parse *parse, size_t at, size_t used, double value)
{
        const struct unit *unit = unit_at(parse, at + used);
        double fraction = 0;
        size_t end, more;

        /* "half an hour", "quarter of a mile" */
        if (!unit && (is_exactly(parse, at + used, (const char *const[]){ "an", "a", NULL }))) {
                unit = unit_at(parse, at + used + 1);
                used += unit != NULL;
        }
        if (!unit)
                return 0;
        end = at + used + 1;
        more = unit->kind == ATOM_DURATION || unit->kind == ATOM_DISTANCE
                       ? fraction_at(parse, end, &fraction)
                       : 0;
        add_atom(parse, unit->kind, (value + fraction) * unit->factor, unit->name, at, end + more);
        return used + 1 + more;
}

/* A pair: sets and repetitions, or a weight beyond any number of sets and repetitions. */
static void add_pair(struct parse *parse, double first, double second, size_t at, size_t end)
{
        bool is_weight = first > 20 && second <= 20;

        add_atom(parse, is_weight ? ATOM_WEIGHT : ATOM_SETS, first, NULL, at, end);
        add_atom(parse, ATOM_REPS, second, NULL, at, end);
}

static bool is_times_between(const struct parse *parse, size_t at, size_t *skip_r)
{
        *skip_r = 0;
        if (at >= parse->text->count)
                return false;
        if (parse->text->words[at].sign == '*' && parse->text->words[at].is_number)
                return true;
        *skip_r = 1;
        return is_exactly(parse, at, times_words);
}

/* "3x10", "3 by 10", "3 על 10", "3x30 seconds", "3x10x60". */
static size_t read_pair(struct parse *parse, size_t at, size_t used, double first)
{
        const struct chat_text *text = parse->text;
        const struct unit *unit;
        double second, third;
        size_t skip, end, more;

        if (!is_times_between(parse, at + used, &skip) || at + used + skip >= text->count)
                return 0;
        more = chat_number_at(text, at + used + skip, text->count, &second);
        if (!more)
                return 0;
        end = at + used + skip + more;
        unit = unit_at(parse, end);
        if (unit && unit->kind != ATOM_REPS && unit->kind != ATOM_SETS) {
                add_atom(parse, ATOM_SETS, first, NULL, at, end);
                add_atom(parse, unit->kind, second * unit->factor, unit->name, at, end + 1);
                return end + 1 - at;
        }
        end += unit != NULL;
        add_pair(parse, first, second, at, end);
        if (is_times_between(parse, end, &skip) && end + skip < text->count &&
            (more = chat_number_at(text, end + skip, text->count, &third))) {
                unit = unit_at(parse, end + skip + more);
                add_atom(parse, ATOM_WEIGHT, third, unit ? unit->name : NULL, end,
                         end + skip + more + (unit != NULL));
                end += skip + more + (unit != NULL);
        }
        return end - at;
}

/* "3 sets of 10", "3 סטים של 30 שניות": what follows "of" is repetitions unless it has a unit. */
static size_t read_sets_of(struct parse *parse, size_t at)
{
        double value;
        size_t used, start = at;

        if (is_in(parse, at, of_words))
                at++;
        if (at >= parse->text->count)
                return 0;
        used = chat_number_at(parse->text, at, parse->text->count, &value);
        if (!used || unit_at(parse, at + used) ||
            (at == start && is_exactly(parse, at + used, times_words)))
                return 0;
        add_atom(parse, ATOM_REPS, value, NULL, start, at + used);
        return at + used - start;
}

static bool is_bare_weight(const struct parse *parse, size_t at)
{
        LIST(with_words, "with", "at", "עמ", "במשקל", "using");
        LIST(weight_names, "weight", "משקל", "bar", "plates", "dumbbells");

        return is_in(parse, at - 1, with_words) || (at > 0 && is_in(parse, at - 1, weight_names));
}

size_t exercise_amount_at(struct parse *parse, size_t at)
{
        const struct chat_text *text = parse->text;
        const struct chat_word *word = &text->words[at];
        double value = 0;
        size_t used = clock_at(parse, at, &value), more;

        if (used) {
                size_t unit =
                        is_in(parse, at + used, min_words) || is_in(parse, at + used, h_words);

                value *= unit && used == 2 && is_in(parse, at + used, h_words) ? 60 : 1;
                add_atom(parse, ATOM_DURATION, value, NULL, at, at + used + unit);
                return used + unit;
        }
        used = chat_number_at(text, at, text->count, &value);
        if (!used)
                return 0;
        if ((word->is_number && word->sign == '@') ||
            is_in(parse, at > 0 ? at - 1 : text->count, rpe_words)) {
                const struct unit *unit = unit_at(parse, at + used);
                bool is_rpe = !unit && value <= 10;

                add_atom(parse, is_rpe ? ATOM_RPE : ATOM_WEIGHT, value, unit ? unit->name : NULL,
                         at, at + used + (unit != NULL));
                return used + (unit != NULL);
        }
        if (is_in(parse, at + used, rir_words) ||
            is_in(parse, at > 0 ? at - 1 : text->count, rir_words)) {
                add_atom(parse, ATOM_RPE, 10 - value, NULL, at, at + used);
                return used;
        }
        more = read_pair(parse, at, used, value);
        if (!more)
                more = read_with_unit(parse, at, used, value);
        if (more) {
                size_t last = parse->atom_count - 1;

                if (parse->atoms[last].kind == ATOM_SETS)
                        more += read_sets_of(parse, at + more);
                return more;
        }
        if (cm_str_equal(word->text, CM_STR("a")) || cm_str_equal(word->text, CM_STR("an")))
                return 0;
        add_atom(parse, at > 0 && is_bare_weight(parse, at) ? ATOM_WEIGHT : ATOM_BARE, value, NULL,
                 at, at + used);
        return used;
}

/* "שעה", "hour": one of it, when no number says how many; "שעתיים" is two. */
size_t exercise_lone_unit_at(struct parse *parse, size_t at)
{
        double fraction = 0;
        size_t more;
        LIST(alone, "שעה", "דקה", "קילומטר", "hour", "mile");

        if (is_in(parse, at, two_hours_words) || is_in(parse, at, two_minutes_words)) {
                bool hours = is_in(parse, at, two_hours_words);

                more = fraction_at(parse, at + 1, &fraction);
                add_atom(parse, ATOM_DURATION, (2 + fraction) * (hours ? 3600 : 60), NULL, at,
                         at + 1 + more);
                return 1 + more;
        }
        if (!is_in(parse, at, alone))
                return 0;
        return read_with_unit(parse, at, 0, 1);
}
