#include "phrase.h"

#include <string.h>

#include "phrase_internal.h"

size_t phrases_count(const struct phrases *phrases)
{
        return phrases->count;
}

static const struct word *find_word(const struct phrases *phrases, struct cm_str text,
                                    uint64_t hash)
{
        for (size_t at = hash & phrases->mask; phrases->slots[at]; at = (at + 1) & phrases->mask) {
                const struct word *word = word_at(phrases, phrases->slots[at] - 1);

                if (word->hash == hash && cm_str_equal(text_of(phrases, word), text))
                        return word;
        }
        return NULL;
}

bool phrases_know(const struct phrases *phrases, struct cm_str word)
{
        return find_word(phrases, word, chat_word_hash(word)) != NULL;
}

/* ---- matching */

struct attempt {
        const struct phrases *phrases;
        const struct chat_text *text;
        struct phrase_match *match;
        int steps; /* how much is left to try at this place */
};
#define MAX_STEPS 20000

/* Letters of two bytes that stand before a Hebrew word and leave its meaning: and, that, when. */
static size_t prefix_length(struct cm_str word)
{
        static const struct cm_str prefixes[] = {
                { "כש", 4 }, { "וש", 4 }, { "ו", 2 }, { "ש", 2 }
        };

        for (size_t i = 0; i < CM_COUNT(prefixes); i++)
                if (word.len >= prefixes[i].len + 4 && cm_str_starts(word, prefixes[i]))
                        return prefixes[i].len;
        return 0;
}

static bool is_choice(const struct word *choice, struct cm_str chosen, const struct chat_word *word)
{
        struct cm_str text = word->text;
        size_t cut;

        if (choice->prefix ? cm_str_starts(text, chosen)
                           : choice->hash == word->hash && cm_str_equal(text, chosen))
                return true;
        cut = choice->hebrew ? prefix_length(text) : 0;
        if (!cut)
                return false;
        text = (struct cm_str){ text.data + cut, text.len - cut };
        if (choice->prefix ? cm_str_starts(text, chosen) : cm_str_equal(text, chosen))
                return true;
        return cut == 4 && cm_str_equal((struct cm_str){ text.data - 2, text.len + 2 }, chosen);
}

static bool is_word(const struct phrases *phrases, const struct node *node,
                    const struct chat_word *word)
{
        for (uint32_t i = 0; i < node->count; i++) {
                const struct word *choice = word_at(phrases, *link_at(phrases, node->links + i));

                if (is_choice(choice, text_of(phrases, choice), word))
                        return true;
        }
        return false;
}

static bool is_same_sentence(const struct chat_text *text, size_t at)
{
        return at < text->count && !(text->words[at].breaks & CHAT_BREAK_SENTENCE);
}

static bool try_node(struct attempt *attempt, uint32_t number, size_t at);

static bool try_gap(struct attempt *attempt, const struct node *node, size_t at)
{
        for (size_t width = 0; width <= node->count; width++) {
                if (try_node(attempt, node->next, at + width))
                        return true;
                if (!is_same_sentence(attempt->text, at + width))
                        return false;
        }
        return false;
}

static bool try_capture(struct attempt *attempt, const struct node *node, size_t at)
{
        struct phrase_range *range = &attempt->match->captures[node->count];

        for (size_t last = at; last < attempt->text->count; last++) {
                if (last > at && !is_same_sentence(attempt->text, last))
                        return false;
                if (!try_node(attempt, node->next, last + 1))
                        continue;
                *range = (struct phrase_range){ at, last };
                attempt->match->has[node->count] = true;
                return true;
        }
        return false;
}

static bool try_number(struct attempt *attempt, const struct node *node, size_t at)
{
        if (at >= attempt->text->count || !attempt->text->words[at].is_number ||
            !try_node(attempt, node->next, at + 1))
                return false;
        attempt->match->captures[node->count] = (struct phrase_range){ at, at };
        attempt->match->has[node->count] = true;
        return true;
}

static bool try_node(struct attempt *attempt, uint32_t number, size_t at)
{
        const struct phrases *phrases = attempt->phrases;
        const struct chat_text *text = attempt->text;
        const struct node *node = node_at(phrases, number);

        if (--attempt->steps < 0)
                return false;
        switch (node->kind) {
        case NODE_WORDS:
                return at < text->count && is_word(phrases, node, &text->words[at]) &&
                       try_node(attempt, node->next, at + 1);
        case NODE_FORK:
                for (uint32_t i = 0; i < node->count; i++)
                        if (try_node(attempt, *link_at(phrases, node->links + i), at))
                                return true;
                return false;
        case NODE_GAP:
                return try_gap(attempt, node, at);
        case NODE_CAPTURE:
                return try_capture(attempt, node, at);
        case NODE_NUMBER:
                return try_number(attempt, node, at);
        case NODE_START:
                return at == 0 && try_node(attempt, node->next, at);
        case NODE_SENTENCE:
                return (at == 0 || (at < text->count && !is_same_sentence(text, at))) &&
                       try_node(attempt, node->next, at);
        case NODE_END:
                return at == text->count && try_node(attempt, node->next, at);
        case NODE_ACCEPT:
        default:
                attempt->match->range.last = at;
                return true;
        }
}

/* Words whose phrases can begin with this one, or with what follows a Hebrew prefix. */
static size_t candidates(const struct phrases *phrases, const struct chat_word *word,
                         const struct word *found[4])
{
        size_t cut = prefix_length(word->text), count = 0;

        found[count++] = word_at(phrases, OTHERS);
        found[count] = find_word(phrases, word->text, word->hash);
        count += found[count] != NULL;
        for (; cut > 0; cut = cut == 4 ? 2 : 0) {
                struct cm_str rest = { word->text.data + cut, word->text.len - cut };

                found[count] = find_word(phrases, rest, chat_word_hash(rest));
                count += found[count] != NULL;
        }
        return count;
}

static bool try_phrase(const struct phrases *phrases, size_t phrase, const struct chat_text *text,
                       size_t at, struct phrase_match *match)
{
        struct attempt attempt = { phrases, text, match, MAX_STEPS };

        memset(match->has, 0, sizeof(match->has));
        if (!try_node(&attempt, phrases->items[phrase].start, at) || match->range.last == at)
                return false;
        match->columns = phrases->items[phrase].columns;
        match->phrase = phrase;
        match->range.first = at;
        match->range.last--;
        return true;
}

/* A place is a word, and a number among the candidates for that word. */
#define PLACE_BITS 24

bool phrases_next(const struct phrases *phrases, const struct chat_text *text, size_t *place,
                  struct phrase_match *match)
{
        size_t at = *place >> PLACE_BITS, skip = *place & ((1U << PLACE_BITS) - 1);
        const uint32_t *postings = phrases->postings.items;

        for (; at < text->count; at++, skip = 0) {
                const struct word *words[4];
                size_t count = candidates(phrases, &text->words[at], words), number = 0;

                for (size_t i = 0; i < count; i++)
                        for (uint32_t j = 0; j < words[i]->posting_count; j++) {
                                if (number++ < skip ||
                                    !try_phrase(phrases, postings[words[i]->postings + j], text, at,
                                                match))
                                        continue;
                                *place = at << PLACE_BITS | number;
                                return true;
                        }
        }
        *place = at << PLACE_BITS;
        return false;
}
