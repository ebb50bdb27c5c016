#include "crisis.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "codec/text_match.h"
#include "phrases/phrase.h"

/*
 * Phrases of the table are looked for; what a benign phrase or a denial covers is taken back.
 * People hide words (k1ll, killl, k i l l): words that no phrase knows are tried in plainer
 * spellings first, and what is written together or letter by letter is looked at without blanks.
 */
#define MAX_TAKEN_BACK 32
#define MAX_HIDDEN     64
#define MAX_JOINED     4096 /* bytes of letters without blanks */

enum { KIND_BENIGN = 100, KIND_DENIAL, KIND_TOGETHER, KIND_APART };

/* What is looked for where blanks were left out or put in. */
struct hidden_word {
        struct cm_str text;
        bool apart_only; /* an ordinary word: phrases decide unless its letters stand apart */
};

struct crisis_detector {
        struct phrases *phrases;
        struct cm_arena arena;
        struct hidden_word hidden[MAX_HIDDEN];
        size_t hidden_count;
};

static const struct {
        const char *name;
        int kind;
        enum chat_crisis_level level;
} kinds[] = {
        { "wish", CHAT_CRISIS_WISH, CHAT_CRISIS_LOW },
        { "active", CHAT_CRISIS_ACTIVE, CHAT_CRISIS_LOW },
        { "method", CHAT_CRISIS_METHOD, CHAT_CRISIS_MODERATE },
        { "intent", CHAT_CRISIS_INTENT, CHAT_CRISIS_HIGH },
        { "plan", CHAT_CRISIS_PLAN, CHAT_CRISIS_HIGH },
        { "attempt", CHAT_CRISIS_ATTEMPT, CHAT_CRISIS_HIGH },
        { "now", CHAT_CRISIS_NOW, CHAT_CRISIS_CRITICAL },
        { "harm", CHAT_CRISIS_HARM, CHAT_CRISIS_MODERATE },
        { "hopeless", CHAT_CRISIS_HOPELESS, CHAT_CRISIS_LOW },
        { "burden", CHAT_CRISIS_BURDEN, CHAT_CRISIS_LOW },
        { "third", CHAT_CRISIS_THIRD, CHAT_CRISIS_MODERATE },
        { "benign", KIND_BENIGN, CHAT_CRISIS_NONE },
        { "denial", KIND_DENIAL, CHAT_CRISIS_NONE },
        { "together", KIND_TOGETHER, CHAT_CRISIS_NONE },
        { "apart", KIND_APART, CHAT_CRISIS_NONE },
};

static size_t kind_index(struct cm_str name)
{
        size_t i = 0;

        while (i < CM_COUNT(kinds) && !cm_str_equal(name, cm_str_from(kinds[i].name)))
                i++;
        return i;
}

static void add_hidden(struct crisis_detector *detector, struct cm_str word, bool apart_only)
{
        struct chat_text text;

        if (!chat_text_read(&detector->arena, word, &text) || text.count != 1 ||
            detector->hidden_count == MAX_HIDDEN)
                return;
        detector->hidden[detector->hidden_count++] =
                (struct hidden_word){ text.words[0].text, apart_only };
}

static void find_hidden(struct crisis_detector *detector, struct cm_str table)
{
        struct cm_str line, kind;

        while (cm_str_split(&table, '\n', &line)) {
                int what;

                if (!line.len || !cm_str_split(&line, '\t', &kind) || !line.data)
                        continue;
                what = kind_index(kind) < CM_COUNT(kinds) ? kinds[kind_index(kind)].kind : 0;
                if (what == KIND_TOGETHER || what == KIND_APART)
                        add_hidden(detector, line, what == KIND_APART);
        }
}

static const char *unknown_kind(struct cm_str table)
{
        struct cm_str line, kind;

        while (cm_str_split(&table, '\n', &line)) {
                if (!line.len || line.data[0] == '#' || line.data[0] == '@')
                        continue;
                if (cm_str_split(&line, '\t', &kind) && kind_index(kind) == CM_COUNT(kinds))
                        return "a line has a kind that is not known";
        }
        return NULL;
}

struct crisis_detector *crisis_detector_new(struct cm_str table, const char **error_r)
{
        struct crisis_detector *detector;
        struct phrases *phrases;

        *error_r = unknown_kind(table);
        phrases = *error_r ? NULL : phrases_new(table, error_r);
        if (!phrases)
                return NULL;
        detector = CM_NEW(struct crisis_detector);
        detector->phrases = phrases;
        cm_arena_init(&detector->arena, 4096);
        find_hidden(detector, table);
        return detector;
}

void crisis_detector_free(struct crisis_detector **detector)
{
        struct crisis_detector *it = *detector;

        if (!it)
                return;
        phrases_free(&it->phrases);
        cm_arena_deinit(&it->arena);
        cm_free(it);
        *detector = NULL;
}

/* ---- hidden words */

static char plain_letter(char c)
{
        static const char digits[] = "0o1i3e4a5s7t8b@a$s!i";

        for (size_t i = 0; digits[i]; i += 2)
                if (digits[i] == c)
                        return digits[i + 1];
        return c;
}

/* Writes the word with digits as the letters that they look like, and at most `most` of the same
 * letter in a row. */
static struct cm_str respelled(struct cm_str word, size_t most, char *out)
{
        size_t len = 0, run = 0, at = 0;
        uint32_t last = 0;

        while (at < word.len) {
                size_t start = at;
                uint32_t c = cm_utf8_next(word, &at);

                run = c == last ? run + 1 : 1;
                last = c;
                if (run > most)
                        continue;
                memcpy(out + len, word.data + start, at - start);
                out[len] = c < 0x80 ? plain_letter((char)c) : out[len];
                len += at - start;
        }
        return (struct cm_str){ out, len };
}

static void try_spellings(const struct phrases *phrases, struct cm_arena *arena,
                          struct chat_word *word)
{
        for (size_t most = 3; most >= 1; most--) {
                char *out = cm_arena_alloc(arena, word->text.len + 1);
                struct cm_str plain = respelled(word->text, most, out);

                if (!phrases_know(phrases, plain))
                        continue;
                word->text = plain;
                word->hash = chat_word_hash(plain);
                return;
        }
}

/* The same text; words that no phrase knows as they are in a spelling that one knows. */
static struct chat_text unhidden(const struct phrases *phrases, struct cm_arena *arena,
                                 const struct chat_text *text)
{
        struct chat_text copy = *text;

        copy.words = cm_arena_array(arena, text->count + 1, sizeof(*copy.words));
        if (text->count)
                memcpy(copy.words, text->words, text->count * sizeof(*copy.words));
        for (size_t i = 0; i < copy.count; i++) {
                struct chat_word *word = &copy.words[i];

                if (!word->is_number && word->text.len > 2 && word->text.len < 40 &&
                    !phrases_know(phrases, word->text))
                        try_spellings(phrases, arena, word);
        }
        return copy;
}

/* ---- together or apart */

static bool holds(struct cm_str text, struct cm_str part)
{
        return memmem(text.data, text.len, part.data, part.len) != NULL;
}

static size_t letters_in(const struct chat_word *word)
{
        return cm_utf8_length(word->text);
}

/* Adds a word as letters, and what separates it from the next one, as far as there is room. */
static void join(struct cm_buf *out, struct cm_arena *arena, struct cm_str word)
{
        if (out->len + word.len <= MAX_JOINED)
                cm_buf_add_str(out, respelled(word, word.len, cm_arena_alloc(arena, word.len + 1)));
}

/* Runs of at least four single letters, without what is between them, and long single words. */
static void join_words(const struct chat_text *text, struct cm_arena *arena, struct cm_buf *apart,
                       struct cm_buf *together)
{
        for (size_t i = 0; i < text->count; i++) {
                size_t run = i;

                while (run < text->count && letters_in(&text->words[run]) == 1)
                        run++;
                for (size_t j = i; run - i >= 4 && j < run; j++)
                        join(apart, arena, text->words[j].text);
                if (run - i >= 4)
                        cm_buf_add_char(apart, ' ');
                if (run == i && letters_in(&text->words[i]) >= 7) {
                        join(together, arena, text->words[i].text);
                        cm_buf_add_char(together, ' ');
                }
                i = run > i ? run - 1 : i;
        }
}

static bool is_hidden_together(const struct crisis_detector *detector, struct cm_arena *arena,
                               const struct chat_text *text)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf apart = { 0 };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf together = { 0 };
        bool found = false;

        join_words(text, arena, &apart, &together);
        for (size_t i = 0; i < detector->hidden_count && !found; i++) {
                const struct hidden_word *word = &detector->hidden[i];

                found = holds(cm_buf_str(&apart), word->text) ||
                        (!word->apart_only && holds(cm_buf_str(&together), word->text));
        }
        return found;
}

/* ---- the decision */

struct found {
        struct phrase_range taken_back[MAX_TAKEN_BACK];
        bool of_thoughts_only[MAX_TAKEN_BACK]; /* wish, active, what is said around them */
        size_t count;
};

static bool has_but(const struct chat_text *text, size_t from)
{
        static const struct cm_str buts[] = { { "but", 3 },    { "except", 6 }, { "although", 8 },
                                              { "though", 6 }, { "yet", 3 },    { "however", 7 },
                                              { "אבל", 6 },    { "רק", 4 } };

        for (size_t i = from; i < text->count; i++)
                for (size_t j = 0; j < CM_COUNT(buts); j++)
                        if (cm_str_equal(text->words[i].text, buts[j]))
                                return true;
        return false;
}

static void find_taken_back(const struct crisis_detector *detector, const struct chat_text *text,
                            struct found *found)
{
        struct phrase_match match = { 0 };
        size_t place = 0;

        while (found->count < MAX_TAKEN_BACK &&
               phrases_next(detector->phrases, text, &place, &match)) {
                size_t index = kind_index(match.columns[0]);
                int kind = kinds[index].kind;

                if (kind != KIND_BENIGN && kind != KIND_DENIAL)
                        continue;
                if (kind == KIND_DENIAL && has_but(text, match.range.last + 1))
                        continue;
                found->of_thoughts_only[found->count] = kind == KIND_BENIGN;
                found->taken_back[found->count++] = match.range;
        }
}

static bool is_taken_back(const struct found *found, struct phrase_range range, int kind)
{
        bool is_thought = kind == CHAT_CRISIS_WISH || kind == CHAT_CRISIS_ACTIVE ||
                          kind == CHAT_CRISIS_HOPELESS || kind == CHAT_CRISIS_BURDEN;

        for (size_t i = 0; i < found->count; i++) {
                const struct phrase_range *back = &found->taken_back[i];

                if (found->of_thoughts_only[i] && !is_thought && kind != CHAT_CRISIS_INTENT &&
                    kind != CHAT_CRISIS_METHOD && kind != CHAT_CRISIS_ATTEMPT)
                        continue;
                /* A denial covers what begins inside of it, too: "never … kill myself tonight". */
                if (back->first <= range.last && range.first <= back->last &&
                    (back->first <= range.first || back->last >= range.last))
                        return true;
        }
        return false;
}

static void add(struct chat_crisis *crisis, size_t index)
{
        crisis->kinds |= 1U << kinds[index].kind;
        if (kinds[index].level > crisis->level)
                crisis->level = kinds[index].level;
}

void crisis_detect(const struct crisis_detector *detector, struct cm_arena *arena,
                   const struct chat_text *text, struct chat_crisis *crisis_r)
{
        struct chat_text plain = unhidden(detector->phrases, arena, text);
        struct phrase_match match = { 0 };
        struct found found = { .count = 0 };
        size_t place = 0;

        *crisis_r = (struct chat_crisis){ .level = CHAT_CRISIS_NONE };
        find_taken_back(detector, &plain, &found);
        while (phrases_next(detector->phrases, &plain, &place, &match)) {
                size_t index = kind_index(match.columns[0]);

                if (kinds[index].kind < KIND_BENIGN &&
                    !is_taken_back(&found, match.range, kinds[index].kind))
                        add(crisis_r, index);
        }
        if (!crisis_r->kinds && !found.count && is_hidden_together(detector, arena, text))
                add(crisis_r, kind_index(CM_STR("active")));
        crisis_r->is_of_another = crisis_r->kinds == 1U << CHAT_CRISIS_THIRD;
}

const char *chat_crisis_level_name(enum chat_crisis_level level)
{
        static const char *const names[] = { "none", "low", "moderate", "high", "critical" };

        return names[level];
}

const char *chat_crisis_kind_name(enum chat_crisis_kind kind)
{
        for (size_t i = 0; i < CM_COUNT(kinds); i++)
                if (kinds[i].kind == (int)kind)
                        return kinds[i].name;
        return "";
}
