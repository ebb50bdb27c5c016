#pragma once

/*
 * Snowball's stemmer of English (Porter 2), as libstemmer's archive exports it; its own header of
 * this is not in the package. The shared library brings 27 languages, 0.7 MiB of each process.
 */
struct SN_env {
        unsigned char *p; /* the word; not terminated */
        int c, l;         /* where it works; where the word ends. More fields follow. */
};

struct SN_env *english_UTF_8_create_env(void);
void english_UTF_8_close_env(struct SN_env *env);

/* The word, which is copied; not 0 when there is no memory. */
int SN_set_current(struct SN_env *env, int size, const unsigned char *word);

/* Makes the word its stem; negative when there is no memory. */
int english_UTF_8_stem(struct SN_env *env);
