#include <math.h>
#include <string.h>

#include "exercise_parse_internal.h"

/*
 * Commas, "and" and "then" cut a message into clauses, and the amounts of a clause belong to its
 * exercise.
 */
LIST(each_words, "each", "apiece", "כל", "אחד");
LIST(and_words, "and", "then", "plus", "also", "ואז", "וגמ", "ועוד", "אחכ", "אחר", "followed");
LIST(yesterday_words, "yesterday", "אתמול");
LIST(days_ago_words, "שלשומ");
LIST(out_words, "out", "into", "away", "late", "over", "errands", "to");

static void find_all(struct parse *parse)
{
        const struct chat_text *text = parse->text;

        for (size_t at = 0; at < text->count;) {
                struct exercise_mention mention;
                size_t used = 0;

                if (exercise_mention_at(parse->lexicon, text, at, &mention) &&
                    !(mention.is_done && is_in(parse, mention.last + 1, out_words))) {
                        for (size_t i = mention.first; i <= mention.last; i++)
                                parse->taken[i] = TAKEN_BY_EXERCISE;
                        if (parse->mention_count < EXERCISE_ENTRIES)
                                parse->mentions[parse->mention_count++] = mention;
                        else
                                parse->is_unclear = true;
                        at = mention.last + 1;
                        continue;
                }
                used = exercise_amount_at(parse, at);
                if (!used)
                        used = exercise_lone_unit_at(parse, at);
                at += used ? used : 1;
        }
}

/* ---- which amount belongs to which exercise */

static bool is_cut(const struct parse *parse, size_t at)
{
        const struct chat_word *word = &parse->text->words[at];
        bool joins = parse->taken[at] && at > 0 && parse->taken[at - 1] == TAKEN_BY_ATOM &&
                     parse->taken[at] == TAKEN_BY_ATOM && word->sign != ',' && word->sign != ';' &&
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
               !(parse->taken[at] == TAKEN_BY_ATOM && parse->taken[at - 1] == TAKEN_BY_ATOM);
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
        if (!parse->mention_count || !exercise_was_done(parse, &is_unsure))
                return;
        exercise_drop_wished(parse);
        fill_entries(parse, report_r);
        merge_entries(report_r);
        report_r->days_ago = days_ago(parse);
        for (size_t i = 0; i < report_r->count; i++)
                parse->is_unclear = parse->is_unclear || !has_amount(&report_r->entries[i]);
        report_r->verdict = parse->is_unclear || is_unsure ? EXERCISE_ASK : EXERCISE_LOG;
        /* A word that only may be an exercise, in a message about something else. */
        if (report_r->verdict == EXERCISE_ASK && !parse->atom_count &&
            exercise_other_words(parse) > 2)
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
                size_t used = exercise_amount_at(parse, at);

                at += used ? used : 1;
        }
        for (size_t i = 0; i < parse->atom_count; i++) {
                is_correction = is_correction || parse->atoms[i].corrects;
                parse->atoms[i].corrects = true;
                if (!put(&corrected, parse->atoms[i]))
                        return false;
        }
        if (!is_correction || exercise_other_words(parse) > 2)
                return false;
        *entry = corrected;
        return true;
}
