#include "exercise_parse_internal.h"

/* Was it done, or wished, planned, asked about? */
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

size_t exercise_other_words(const struct parse *parse)
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

bool exercise_was_done(const struct parse *parse, bool *is_unsure_r)
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
        *is_unsure_r = exercise_other_words(parse) > 2;
        return true;
}

void exercise_drop_wished(struct parse *parse)
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
