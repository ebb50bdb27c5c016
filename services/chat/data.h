#pragma once
#include "base/str.h"

/* The tables of data/, as they are in the files. Constant, any thread. */
enum chat_table {
        CHAT_TABLE_CRISIS,         /* what people say in a crisis, and what only sounds like it */
        CHAT_TABLE_HELP,           /* whom to call, by country */
        CHAT_TABLE_HELP_COUNTRIES, /* country of a time zone */
        CHAT_TABLE_INTENTS,        /* what people say to the rules planner */
        CHAT_TABLE_EXERCISES,
        CHAT_TABLE_SENTIMENT,
        CHAT_TABLES
};
struct cm_str chat_table(enum chat_table table);
