#include "exercise_parse.h"

#include <math.h>
#include <string.h>

#include "numbers.h"

/*
 * First every amount is found ("3 sets", "10", "60 kg": an atom), then every exercise. Commas,
 * "and" and "then" cut what is left into clauses, and the amounts of a clause belong to its
 * exercise.
 */
#define LIST(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }
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
LIST(each_words, "each", "apiece", "כל", "אחד");
LIST(and_words, "and", "then", "plus", "also", "ואז", "וגמ", "ועוד", "אחכ", "אחר", "followed");
LIST(correction_words, "actually", "sorry", "meant", "mean", "rather", "correction", "wait", "בעצמ",
     "סליחה", "התכוונתי", "תיקונ", "טעות", "oops", "make");
LIST(no_words, "no", "לא");
LIST(done_words, "did", "done", "completed", "finished", "went", "managed", "got", "just", "logged",
     "log", "performed", "knocked", "crushed", "hit", "had", "lifted", "played", "held", "עשיתי",
     "סיימתי", "ביצעתי", "הספקתי", "עשינו", "השלמתי", "היה", "הרמתי", "תרשומ", "תרשמי", "רשומ",
     "החזקתי", "שיחקתי", "גמרתי", "לרשומ");
LIST(not_words, "not", "didnt", "dont", "never", "couldnt", "cant", "havent", "hadnt", "skipped",
     "skip", "without", "instead", "missed", "לא", "בלי", "פספסתי", "ויתרתי", "דילגתי", "במקומ",
     "wasnt", "failed", "almost", "כמעט", "no");
LIST(wish_words, "want", "wanna", "wanted", "should", "shall", "could", "can", "going", "gonna",
     "plan", "planning", "planned", "will", "ill", "would", "might", "may", "need", "hope",
     "hoping", "tomorrow", "later", "how", "what", "which", "when", "why", "who", "if", "goal",
     "lets", "thinking", "wish", "try", "trying", "do", "must", "teach", "explain", "show", "is",
     "are", "does", "recommend", "suggest", "next", "about", "supposed", "every", "usually", "love",
     "like", "hate", "רוצה", "אולי", "כדאי", "אפשר", "הולכ", "הולכת", "מתכננ", "מתכננת", "אעשה",
     "מחר", "איכ", "כמה", "מה", "מתי", "למה", "צריכ", "צריכה", "תכננתי", "רציתי", "אמ", "יעד",
     "מטרה", "ארוצ", "אלכ", "אשחה", "אתאמנ", "ננסה", "אנסה", "בא", "חושב", "חושבת", "תסביר",
     "תסבירי", "תמליצ", "תמליצי", "מומלצ", "האמ", "עדיפ", "אוהב", "אוהבת", "שונא", "שונאת", "כל",
     "הבא");
LIST(but_words, "but", "אבל", "only", "רק", "ended", "בסופ", "instead", "אז");
LIST(yesterday_words, "yesterday", "אתמול");
LIST(days_ago_words, "שלשומ");
LIST(out_words, "out", "into", "away", "late", "over", "errands", "to");

enum atom_kind {
        ATOM_SETS,
        ATOM_REPS,
        ATOM_WEIGHT,
        ATOM_DISTANCE,
        ATOM_DURATION,
        ATOM_RPE,
        ATOM_BARE,
        ATOM_KINDS
};

struct atom {
        enum atom_kind kind;
        double value;
        const char *unit; /* of a weight or distance; NULL when not said */
        size_t at, end;   /* words */
        bool corrects;
};

#define MAX_ATOMS 32

struct parse {
        const struct exercise_lexicon *lexicon;
        const struct chat_text *text;
        uint8_t *taken; /* 1 atom, 2 exercise */
        struct atom atoms[MAX_ATOMS];
        size_t atom_count;
        struct exercise_mention mentions[EXERCISE_ENTRIES];
        size_t mention_count;
        bool is_unclear;
};

static bool is_in(const struct parse *parse, size_t at, const char *const *list)
{
        return at < parse->text->count && !parse->text->words[at].is_number &&
               chat_word_in(&parse->text->words[at], list);
}

/* Without Hebrew prefixes: where a letter more would be another word. */
static bool is_exactly(const struct parse *parse, size_t at, const char *const *list)
{
        for (size_t i = 0; at < parse->text->count && list[i]; i++)
                if (cm_str_equal(parse->text->words[at].text, cm_str_from(list[i])))
                        return true;
        return false;
}

static void add_atom(struct parse *parse, enum atom_kind kind, double value, const char *unit,
                     size_t at, size_t end)
{
        struct atom *atom = &parse->atoms[parse->atom_count];

        for (size_t i = at; i < end; i++)
                parse->taken[i] = 1;
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

/* ---- amounts */

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

static size_t read_amount(struct parse *parse, size_t at)
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
static size_t read_lone_unit(struct parse *parse, size_t at)
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

static void find_all(struct parse *parse)
{
        const struct chat_text *text = parse->text;

        for (size_t at = 0; at < text->count;) {
                struct exercise_mention mention;
                size_t used = 0;

                if (exercise_mention_at(parse->lexicon, text, at, &mention) &&
                    !(mention.is_done && is_in(parse, mention.last + 1, out_words))) {
                        for (size_t i = mention.first; i <= mention.last; i++)
                                parse->taken[i] = 2;
                        if (parse->mention_count < EXERCISE_ENTRIES)
                                parse->mentions[parse->mention_count++] = mention;
                        else
                                parse->is_unclear = true;
                        at = mention.last + 1;
                        continue;
                }
                used = read_amount(parse, at);
                if (!used)
                        used = read_lone_unit(parse, at);
                at += used ? used : 1;
        }
}

/* ---- was it done */

/* What the words before `limit` say last: +1 done, -1 wished or not done, 0 nothing. */
static int attitude(const struct parse *parse, size_t limit)
{
        int attitude = 0;
        size_t negated = parse->text->count + 9;

        for (size_t i = 0; i < limit; i++) {
                if (parse->taken[i])
                        continue;
                if (is_in(parse, i, done_words)) {
                        bool is_far = i > negated + 2 ||
                                      (parse->text->words[i].breaks &
                                       (CHAT_BREAK_COMMA | CHAT_BREAK_SENTENCE | CHAT_BREAK_LINE));

                        if (negated > parse->text->count || is_far)
                                attitude = 1;
                } else if (is_exactly(parse, i, not_words) || is_exactly(parse, i, wish_words)) {
                        attitude = -1;
                        negated = i;
                } else if (is_in(parse, i, but_words)) {
                        negated = parse->text->count + 9;
                }
        }
        return attitude;
}

/* Words that are neither amounts, exercises nor the small change of such a message. */
static size_t count_other_words(const struct parse *parse)
{
        LIST(small, "i", "a", "an", "the", "of", "with", "at", "for", "in", "and", "then", "my",
             "me", "today", "yesterday", "this", "morning", "evening", "on", "to", "per", "each",
             "x", "just", "was", "it", "were", "so", "also", "plus", "bodyweight", "weight", "reps",
             "sets", "now", "some", "more", "another", "total", "easy", "hard", "slow", "fast",
             "great", "good", "arm", "leg", "side", "hand", "אני", "את", "של", "עמ", "היומ",
             "הבוקר", "אתמול", "עוד", "וגמ", "אז", "כל", "זה", "בוקר", "ערב", "יד", "רגל", "צד",
             "פלוס", "משקל", "גופ", "בערכ", "סהכ", "עכשיו", "הערב", "actually", "sorry", "no",
             "meant", "לא", "בעצמ", "סליחה", "rpe", "rir", "last", "night", "um", "uh", "like",
             "about", "לפני");
        size_t count = 0;

        for (size_t i = 0; i < parse->text->count; i++)
                count +=
                        !parse->taken[i] && !is_in(parse, i, small) && !is_in(parse, i, done_words);
        return count;
}

static bool was_done(const struct parse *parse, bool *is_unsure_r)
{
        size_t first = parse->mentions[0].first;
        bool has_verb = false;
        int before;

        for (size_t i = 0; i < parse->mention_count; i++)
                has_verb = has_verb || parse->mentions[i].is_done;
        if (parse->atom_count && parse->atoms[0].at < first)
                first = parse->atoms[0].at;
        before = attitude(parse, first);
        /* "I wanted to do 12 but did 10": what is said last before the exercise counts. */
        if (before < 0 && parse->mentions[0].first > first)
                before = attitude(parse, parse->mentions[0].first);
        *is_unsure_r = false;
        if (before < 0 || parse->text->is_question)
                return false;
        if (before > 0 || has_verb)
                return true;
        if (attitude(parse, parse->text->count) < 0) {
                /* "squats 3x10, should I do more": bare amounts with something else around. */
                return false;
        }
        *is_unsure_r = count_other_words(parse) > 2;
        return true;
}

/* ---- which amount belongs to which exercise */

static bool is_cut(const struct parse *parse, size_t at)
{
        const struct chat_word *word = &parse->text->words[at];
        bool joins = parse->taken[at] && at > 0 && parse->taken[at - 1] == 1 &&
                     parse->taken[at] == 1 && word->sign != ',' && word->sign != ';' &&
                     word->sign != '+';

        if (at == 0 || joins)
                return false;
        if (word->breaks & (CHAT_BREAK_SENTENCE | CHAT_BREAK_LINE) || word->sign == '+' ||
            word->sign == '&')
                return true;
        if (word->breaks & CHAT_BREAK_COMMA &&
            (word->sign == ',' || word->sign == ';' || word->sign == ':'))
                return true;
        return !parse->taken[at] && is_exactly(parse, at, and_words);
}

/* A Hebrew word that begins with "and" and is an amount or an exercise. */
static bool is_joined_by_prefix(const struct parse *parse, size_t at)
{
        return at > 0 && parse->taken[at] && !parse->text->words[at].is_number &&
               parse->text->words[at].text.len > 4 &&
               cm_str_starts(parse->text->words[at].text, CM_STR("ו")) &&
               !(parse->taken[at] == 1 && parse->taken[at - 1] == 1);
}

/* Number of the clause that each word is in. */
static void number_clauses(const struct parse *parse, int *clauses)
{
        int clause = 0;

        for (size_t i = 0; i < parse->text->count; i++) {
                clause += is_cut(parse, i) || is_joined_by_prefix(parse, i);
                clauses[i] = clause;
        }
}

/* The exercise of an amount: that of its clause; else of the clause before; else the next one. */
static int owner_of(const struct parse *parse, const int *clauses, const struct atom *atom)
{
        int own = clauses[atom->at], before = -1, after = -1, same = -1, same_count = 0;

        for (size_t i = 0; i < parse->mention_count; i++) {
                int clause = clauses[parse->mentions[i].first];

                if (clause == own) {
                        /* Of several, the one behind the amount, else the one before. */
                        if (same < 0 || parse->mentions[i].first <= atom->at)
                                same = same < 0 || parse->mentions[same].last < atom->at ? (int)i
                                                                                         : same;
                        same_count++;
                } else if (clause < own) {
                        before = (int)i;
                } else if (after < 0) {
                        after = (int)i;
                }
        }
        if (same_count)
                return same;
        return before >= 0 ? before : after;
}

static bool set_int(int *place, double value, bool corrects, double most)
{
        if ((*place && !corrects && *place != (int)value) || value != floor(value) || value < 1 ||
            value > most)
                return false;
        *place = (int)value;
        return true;
}

static bool set_number(double *place, double value, bool corrects, double most)
{
        if ((*place > 0 && !corrects && *place != value) || value <= 0 || value > most)
                return false;
        *place = value;
        return true;
}

/* Puts an amount into the entry; false when it does not fit. */
static bool put(struct exercise_entry *entry, struct atom atom)
{
        enum exercise_kind kind = entry->exercise->kind;

        if (atom.kind == ATOM_BARE) {
                if (kind == EXERCISE_TIME || kind == EXERCISE_DISTANCE)
                        return false;
                atom.kind = entry->repetitions && !atom.corrects ? ATOM_WEIGHT : ATOM_REPS;
                if (entry->weight > 0 && atom.corrects && atom.value != floor(atom.value))
                        atom.kind = ATOM_WEIGHT;
                if (!atom.corrects && !entry->repetitions && !entry->weight &&
                    kind == EXERCISE_WEIGHT && atom.value > 50)
                        atom.kind = ATOM_WEIGHT;
        }
        switch (atom.kind) {
        case ATOM_SETS:
                return set_int(&entry->sets, atom.value, atom.corrects, 100);
        case ATOM_REPS:
                return set_int(&entry->repetitions, atom.value, atom.corrects, 10000);
        case ATOM_WEIGHT:
                entry->weight_has_unit = entry->weight_has_unit || atom.unit;
                entry->weight_is_lb =
                        atom.unit ? strcmp(atom.unit, "lb") == 0 : entry->weight_is_lb;
                return set_number(&entry->weight, atom.value, atom.corrects, 700);
        case ATOM_DISTANCE:
                memcpy(entry->distance_unit, atom.unit, strlen(atom.unit) + 1);
                return set_number(&entry->distance, atom.value, atom.corrects, 100000);
        case ATOM_DURATION:
                if (entry->duration_s > 0 && !atom.corrects)
                        atom.value += entry->duration_s; /* 5 minutes 30 seconds */
                return set_number(&entry->duration_s, atom.value, true, 86400);
        case ATOM_RPE:
                return set_number(&entry->rpe, atom.value, atom.corrects, 10);
        default:
                return false;
        }
}

static bool has_amount(const struct exercise_entry *entry)
{
        return entry->repetitions || entry->duration_s > 0 || entry->distance > 0;
}

/* ---- the whole */

static int days_ago(const struct parse *parse)
{
        LIST(days, "days", "ימימ");
        LIST(ago, "ago");
        LIST(before, "לפני");
        LIST(two_days, "יומיימ");

        for (size_t i = 0; i < parse->text->count; i++) {
                if (is_in(parse, i, yesterday_words))
                        return 1;
                if (is_in(parse, i, days_ago_words) ||
                    (i > 0 && is_in(parse, i, two_days) && is_in(parse, i - 1, before)))
                        return 2;
                if (i > 0 && is_in(parse, i, days) &&
                    (is_in(parse, i + 1, ago) || (i > 1 && is_in(parse, i - 2, before)))) {
                        double value = 0;

                        if (chat_number_at(parse->text, i - 1, i, &value) && value >= 1 &&
                            value <= 366)
                                return (int)value;
                }
        }
        return 0;
}

/* "two days ago" counts days, not repetitions. */
static void drop_days(struct parse *parse)
{
        LIST(days, "days", "day", "ימימ", "weeks", "שבועות", "oclock", "years", "שנימ");
        size_t kept = 0;

        for (size_t i = 0; i < parse->atom_count; i++) {
                struct atom *atom = &parse->atoms[i];

                if (atom->kind == ATOM_BARE && is_in(parse, atom->end, days))
                        continue;
                parse->atoms[kept++] = *atom;
        }
        parse->atom_count = kept;
}

/* "wanted to do 12 but did 10": amounts before the word that says done, behind a wish, are none. */
static void drop_wished(struct parse *parse)
{
        size_t first_done = 0, kept = 0;
        bool wished = false;

        for (size_t i = 0; i < parse->text->count; i++) {
                if (is_exactly(parse, i, wish_words) && !first_done)
                        wished = true;
                if (wished && is_in(parse, i, done_words) && attitude(parse, i + 1) > 0)
                        first_done = i;
        }
        for (size_t i = 0; i < parse->atom_count; i++)
                if (!first_done || parse->atoms[i].at > first_done)
                        parse->atoms[kept++] = parse->atoms[i];
        parse->atom_count = kept;
}

/* "squats and lunges 3x10 each" */
static void share_amounts(struct exercise_report *report)
{
        const struct exercise_entry *from = NULL;

        for (size_t i = 0; i < report->count && !from; i++)
                from = has_amount(&report->entries[i]) ? &report->entries[i] : NULL;
        for (size_t i = 0; i < report->count && from; i++) {
                struct exercise_entry copy = *from;

                if (has_amount(&report->entries[i]))
                        continue;
                copy.exercise = report->entries[i].exercise;
                copy.name = report->entries[i].name;
                report->entries[i] = copy;
        }
}

static void fill_entries(struct parse *parse, struct exercise_report *report)
{
        int *clauses = (int *)(void *)(parse->taken + ((parse->text->count + 8) & ~(size_t)7));
        bool each = false;

        number_clauses(parse, clauses);
        for (size_t i = 0; i < parse->mention_count; i++) {
                const struct exercise_mention *mention = &parse->mentions[i];

                report->entries[i] = (struct exercise_entry){
                        .exercise = mention->exercise,
                        .name = chat_text_span(parse->text, mention->first, mention->last),
                };
        }
        report->count = parse->mention_count;
        for (size_t i = 0; i < parse->text->count; i++)
                each = each || is_exactly(parse, i, each_words);
        for (size_t i = 0; i < parse->atom_count; i++) {
                int owner = owner_of(parse, clauses, &parse->atoms[i]);

                if (owner < 0 || !put(&report->entries[owner], parse->atoms[i]))
                        parse->is_unclear = true;
        }
        if (each)
                share_amounts(report);
}

/* "went for a run, ran 5 km" and "did a leg workout: squats 3x10": one that has no amount and is
 * also, or more exactly, named elsewhere says nothing new. */
static void merge_entries(struct exercise_report *report)
{
        size_t kept = 0;

        for (size_t i = 0; i < report->count; i++) {
                bool is_general = cm_str_equal(report->entries[i].exercise->id, CM_STR("workout"));
                bool again = false;

                for (size_t j = 0; j < report->count && !has_amount(&report->entries[i]); j++)
                        again = again || (j != i && has_amount(&report->entries[j]) &&
                                          (is_general || report->entries[j].exercise ==
                                                                 report->entries[i].exercise));
                if (!again)
                        report->entries[kept++] = report->entries[i];
        }
        report->count = kept;
}

static void start(struct parse *parse, struct cm_arena *arena)
{
        size_t flags = (parse->text->count + 8) & ~(size_t)7;

        parse->taken = cm_arena_alloc(arena, flags + (parse->text->count + 1) * sizeof(int));
        find_all(parse);
        drop_days(parse);
}

void exercise_parse(const struct exercise_lexicon *lexicon, struct cm_arena *arena,
                    const struct chat_text *text, struct exercise_report *report_r)
{
        struct parse *parse = CM_ARENA_NEW(arena, struct parse);
        bool is_unsure;

        *report_r = (struct exercise_report){ .verdict = EXERCISE_NONE };
        parse->lexicon = lexicon;
        parse->text = text;
        if (!text->count)
                return;
        start(parse, arena);
        if (!parse->mention_count || !was_done(parse, &is_unsure))
                return;
        drop_wished(parse);
        fill_entries(parse, report_r);
        merge_entries(report_r);
        report_r->days_ago = days_ago(parse);
        for (size_t i = 0; i < report_r->count; i++)
                parse->is_unclear = parse->is_unclear || !has_amount(&report_r->entries[i]);
        report_r->verdict = parse->is_unclear || is_unsure ? EXERCISE_ASK : EXERCISE_LOG;
        /* A word that only may be an exercise, in a message about something else. */
        if (report_r->verdict == EXERCISE_ASK && !parse->atom_count && count_other_words(parse) > 2)
                report_r->verdict = EXERCISE_NONE;
}

bool exercise_correct(struct cm_arena *arena, const struct chat_text *text,
                      struct exercise_entry *entry)
{
        struct parse *parse = CM_ARENA_NEW(arena, struct parse);
        struct exercise_entry corrected = *entry;
        bool is_correction = false;

        parse->text = text;
        parse->taken = cm_arena_alloc(arena, text->count + 1);
        for (size_t at = 0; at < text->count;) {
                size_t used = read_amount(parse, at);

                at += used ? used : 1;
        }
        for (size_t i = 0; i < parse->atom_count; i++) {
                is_correction = is_correction || parse->atoms[i].corrects;
                parse->atoms[i].corrects = true;
                if (!put(&corrected, parse->atoms[i]))
                        return false;
        }
        if (!is_correction || count_other_words(parse) > 2)
                return false;
        *entry = corrected;
        return true;
}
