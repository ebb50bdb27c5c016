#include "sentiment.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/attr.h"
#include "base/map.h"
#include "base/mem.h"

#define REACH 3 /* words that a negation or an intensifier acts on */

enum role { ROLE_WORD, ROLE_NOT, ROLE_MORE, ROLE_LESS };

struct entry {
        double value;
        bool roles[4];
};

struct sentiment {
        struct cm_arena arena;
        struct cm_map *words; /* folded word: struct entry * */
        struct cm_map *signs; /* what is no word, as it is written */
};

static struct entry *entry_of(struct sentiment *sentiment, struct cm_map *map, struct cm_str key)
{
        struct entry *entry = cm_map_get(map, key);

        if (!entry) {
                entry = CM_ARENA_NEW(&sentiment->arena, struct entry);
                (void)cm_map_put(map, key, entry);
        }
        return entry;
}

static void add_word(struct sentiment *sentiment, struct cm_str word, enum role role, double value)
{
        CM_CLEANUP(cm_arena_deinit) struct cm_arena scratch;
        struct chat_text text;
        struct entry *entry;
        bool is_word;

        cm_arena_init(&scratch, 1024);
        is_word = chat_text_read(&scratch, word, &text) && text.count == 1 &&
                  !text.words[0].is_number && text.words[0].text.len >= 2 &&
                  (isalpha((unsigned char)word.data[0]) || text.language == CHAT_LANGUAGE_HE);
        entry = is_word ? entry_of(sentiment, sentiment->words, text.words[0].text)
                        : entry_of(sentiment, sentiment->signs, word);
        entry->roles[role] = true;
        if (role == ROLE_WORD && entry->value == 0)
                entry->value = value;
}

static bool read_role(struct cm_str text, enum role *role_r)
{
        static const char *const names[] = { "word", "not", "more", "less" };

        for (size_t i = 0; i < CM_COUNT(names); i++)
                if (cm_str_equal(text, cm_str_from(names[i]))) {
                        *role_r = (enum role)i;
                        return true;
                }
        return false;
}

static bool add_line(struct sentiment *sentiment, struct cm_str line)
{
        struct cm_str role_name, number, word;
        enum role role;
        int64_t value;

        if (!cm_str_split(&line, '\t', &role_name) || !read_role(role_name, &role) ||
            !cm_str_split(&line, '\t', &number) || !cm_str_to_int(number, &value) || value < -3 ||
            value > 3 || !line.len)
                return false;
        while (cm_str_split(&line, ' ', &word))
                if (word.len)
                        add_word(sentiment, word, role, (double)value);
        return true;
}

struct sentiment *sentiment_new(struct cm_str table, const char **error_r)
{
        struct sentiment *sentiment = CM_NEW(struct sentiment);
        struct cm_str line;

        cm_arena_init(&sentiment->arena, 65536);
        sentiment->words = cm_map_new();
        sentiment->signs = cm_map_new();
        while (cm_str_split(&table, '\n', &line)) {
                if (!line.len || line.data[0] == '#' || add_line(sentiment, line))
                        continue;
                *error_r = "a line has a kind, a value from -3 to 3, and words";
                sentiment_free(&sentiment);
                return NULL;
        }
        return sentiment;
}

void sentiment_free(struct sentiment **sentiment)
{
        struct sentiment *it = *sentiment;

        if (!it)
                return;
        cm_map_free(&it->words, NULL);
        cm_map_free(&it->signs, NULL);
        cm_arena_deinit(&it->arena);
        cm_free(it);
        *sentiment = NULL;
}

/* ---- scoring */

static const struct entry *look_up(const struct sentiment *sentiment, struct cm_str word)
{
        static const struct cm_str prefixes[] = { { "ו", 2 }, { "ה", 2 }, { "ש", 2 } };
        const struct entry *entry = cm_map_get(sentiment->words, word);

        for (size_t i = 0; !entry && i < CM_COUNT(prefixes); i++)
                if (word.len > 6 && cm_str_starts(word, prefixes[i]))
                        entry = cm_map_get(sentiment->words,
                                           (struct cm_str){ word.data + 2, word.len - 2 });
        return entry;
}

/* What the words before do to a word: turned round and weaker, stronger, weaker. */
static double factor(const struct sentiment *sentiment, const struct chat_text *text, size_t at)
{
        double factor = 1;

        for (size_t back = 1; back <= REACH && back <= at; back++) {
                const struct entry *entry;

                if (text->words[at - back + 1].breaks & CHAT_BREAK_SENTENCE)
                        break;
                entry = look_up(sentiment, text->words[at - back].text);
                if (!entry)
                        continue;
                if (entry->roles[ROLE_NOT])
                        factor *= -0.7;
                else if (entry->roles[ROLE_MORE] && back == 1)
                        factor *= 1.4;
                else if (entry->roles[ROLE_LESS] && back == 1)
                        factor *= 0.6;
        }
        return factor;
}

/* Smileys and pictures, looked for in what stands between blanks. */
static double score_signs(const struct sentiment *sentiment, struct cm_str source)
{
        struct cm_str part;
        double sum = 0;

        while (cm_str_split(&source, ' ', &part)) {
                char lower[8];
                const struct entry *entry;

                if (!part.len)
                        continue;
                for (size_t i = 0; i < part.len && i < sizeof(lower); i++)
                        lower[i] = (char)tolower((unsigned char)part.data[i]);
                entry = cm_map_get(
                        sentiment->signs,
                        (struct cm_str){ lower, part.len < sizeof(lower) ? part.len : 0 });
                sum += entry ? entry->value : 0;
                for (size_t i = 0; !entry && i + 3 <= part.len; i++) {
                        size_t len =
                                (unsigned char)part.data[i] >= 0xf0 && i + 4 <= part.len ? 4 : 3;

                        if ((unsigned char)part.data[i] < 0xe2)
                                continue;
                        const struct entry *picture =
                                cm_map_get(sentiment->signs, (struct cm_str){ part.data + i, len });

                        sum += picture ? picture->value : 0;
                }
        }
        return sum;
}

double sentiment_score(const struct sentiment *sentiment, const struct chat_text *text)
{
        double sum = score_signs(sentiment, text->source);

        for (size_t i = 0; i < text->count; i++) {
                const struct entry *entry = look_up(sentiment, text->words[i].text);

                if (entry && entry->roles[ROLE_WORD])
                        sum += entry->value * factor(sentiment, text, i);
        }
        return sum / sqrt(sum * sum + 15);
}
