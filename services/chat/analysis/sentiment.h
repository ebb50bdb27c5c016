#pragma once
#include "language.h"

/*
 * How pleasant a message sounds, from -1 to 1, by a lexicon of our own in English and Hebrew
 * (data/sentiment.tsv) with negations and intensifiers. A rough measure for trends over many
 * messages: its agreement with people is in docs/measured.md. Pure.
 */
struct sentiment;

struct sentiment *sentiment_new(struct cm_str table, const char **error_r);
void sentiment_free(struct sentiment **sentiment);
/* 0 for a text that says nothing of it. */
double sentiment_score(const struct sentiment *sentiment, const struct chat_text *text);
