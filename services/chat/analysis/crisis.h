#pragma once
#include <stdbool.h>

#include "language.h"

/*
 * Crisis detection: always here, before any planner, never by a model. Levels after the Columbia
 * scale (C-SSRS): low is a wish to be dead, thoughts without a method, hopelessness or feeling a
 * burden (1, 2); moderate a method, hurting oneself, or fear for somebody else (3); high intent, a
 * plan, or an attempt at any time (4 to 6); critical what sounds like now. Every level above none
 * puts help before anything else. Not validated by a clinician: docs say so, and so must an app.
 */
enum chat_crisis_level {
        CHAT_CRISIS_NONE,
        CHAT_CRISIS_LOW,
        CHAT_CRISIS_MODERATE,
        CHAT_CRISIS_HIGH,
        CHAT_CRISIS_CRITICAL
};

enum chat_crisis_kind {
        CHAT_CRISIS_WISH = 1,
        CHAT_CRISIS_ACTIVE,
        CHAT_CRISIS_METHOD,
        CHAT_CRISIS_INTENT,
        CHAT_CRISIS_PLAN,
        CHAT_CRISIS_ATTEMPT,
        CHAT_CRISIS_NOW,
        CHAT_CRISIS_HARM,
        CHAT_CRISIS_HOPELESS,
        CHAT_CRISIS_BURDEN,
        CHAT_CRISIS_THIRD /* somebody else is meant */
};

struct chat_crisis {
        enum chat_crisis_level level;
        uint32_t kinds;     /* bit 1 << enum chat_crisis_kind for each that was found */
        bool is_of_another; /* nothing but CHAT_CRISIS_THIRD */
};

struct crisis_detector;

/* Reads the table; NULL and *error_r when it is wrong. Immutable afterwards, any thread. */
struct crisis_detector *crisis_detector_new(struct cm_str table, const char **error_r);
void crisis_detector_free(struct crisis_detector **detector);

/* Pure; does not suspend. Scratch memory comes from the arena. */
void crisis_detect(const struct crisis_detector *detector, struct cm_arena *arena,
                   const struct chat_text *text, struct chat_crisis *crisis_r);

const char *chat_crisis_level_name(enum chat_crisis_level level); /* "none" … "critical" */
const char *chat_crisis_kind_name(enum chat_crisis_kind kind);    /* "wish" … */
