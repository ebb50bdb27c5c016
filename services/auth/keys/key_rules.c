#include "key_rules.h"

#include "base/attr.h"

const char *key_state_name(int state)
{
        static const char *const names[] = { "",        "announced", "active",
                                             "retired", "withdrawn", "ended" };

        return state > 0 && state < (int)CM_COUNT(names) ? names[state] : "unknown";
}

const char *key_step_name(int step)
{
        static const char *const names[] = { "none", "make", "announce", "activate", "end" };

        return step >= 0 && step < (int)CM_COUNT(names) ? names[step] : "unknown";
}

const struct stored_key *key_rules_find(const struct key_list *list, int state)
{
        for (size_t i = 0; i < list->count; i++)
                if (list->keys[i].state == state)
                        return &list->keys[i];
        return NULL;
}

bool key_rules_has_room(const struct key_list *list)
{
        return list->count < KEYS_PUBLISHED_MAX;
}

static const struct stored_key *find_over(const struct key_list *list)
{
        for (size_t i = 0; i < list->count; i++)
                if (list->keys[i].state == KEY_RETIRED &&
                    list->keys[i].published_until <= list->now)
                        return &list->keys[i];
        return NULL;
}

enum key_step key_rules_next(const struct key_list *list, const struct key_schedule *schedule,
                             bool told, const struct stored_key **which_r)
{
        const struct stored_key *active = key_rules_find(list, KEY_ACTIVE);
        const struct stored_key *announced = key_rules_find(list, KEY_ANNOUNCED);
        const struct stored_key *over = find_over(list);

        *which_r = announced;
        if (!active)
                return announced ? KEY_STEP_ACTIVATE : KEY_STEP_MAKE;
        if (announced && announced->announced_at &&
            announced->announced_at + schedule->announce_us <= list->now && told)
                return KEY_STEP_ACTIVATE;
        *which_r = over;
        if (over)
                return KEY_STEP_END;
        if (!announced && key_rules_has_room(list) &&
            active->activated_at + schedule->period_us - schedule->announce_us <= list->now)
                return KEY_STEP_ANNOUNCE;
        return KEY_STEP_NONE;
}
