#include "person.h"

struct cm_str person_zone_at(const struct person *person, cm_time at)
{
        size_t i = person->zone_count;

        if (i == 0)
                return CM_STR("UTC");
        while (i > 1 && person->zones[i - 1].valid_from > at)
                i--;
        return person->zones[i - 1].name;
}
