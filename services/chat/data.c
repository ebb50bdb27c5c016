#include "data.h"

#include "base/assert.h"
#include "base/attr.h"

/* The build sees to it that this file is compiled again when a table has changed. */
#define TABLE(name, file)                                                                          \
        extern const char name##_start[], name##_end[];                                            \
        __asm__(".section .rodata\n" #name "_start:\n.incbin \"services/chat/data/" file           \
                "\"\n" #name "_end:\n.byte 0\n.text\n")

TABLE(chat_crisis, "crisis.tsv");
TABLE(chat_help, "help.tsv");
TABLE(chat_help_countries, "help-countries.tsv");
TABLE(chat_intents, "intents.tsv");
TABLE(chat_exercises, "exercises.tsv");
TABLE(chat_sentiment, "sentiment.tsv");

struct cm_str chat_table(enum chat_table table)
{
        static const struct {
                const char *start, *end;
        } tables[CHAT_TABLES] = {
                [CHAT_TABLE_CRISIS] = { chat_crisis_start, chat_crisis_end },
                [CHAT_TABLE_HELP] = { chat_help_start, chat_help_end },
                [CHAT_TABLE_HELP_COUNTRIES] = { chat_help_countries_start,
                                                chat_help_countries_end },
                [CHAT_TABLE_INTENTS] = { chat_intents_start, chat_intents_end },
                [CHAT_TABLE_EXERCISES] = { chat_exercises_start, chat_exercises_end },
                [CHAT_TABLE_SENTIMENT] = { chat_sentiment_start, chat_sentiment_end },
        };

        CM_ASSERT(table < CHAT_TABLES);
        return (struct cm_str){ tables[table].start,
                                (size_t)(tables[table].end - tables[table].start) };
}
