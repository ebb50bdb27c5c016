#include "bcrypt.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/uuid.h"

bool bcrypt_setting(int cost, char out[BCRYPT_SETTING_SIZE])
{
        char salt[16];

        cm_random(salt, sizeof(salt));
        return cost > 0 && crypt_gensalt_rn("$2b$", (unsigned long)cost, salt, sizeof(salt), out,
                                            BCRYPT_SETTING_SIZE);
}

bool bcrypt_hash(const char *password, const char *setting, struct cm_buf *out)
{
        void *data = NULL;
        int size = 0;
        const char *text = crypt_ra(password, setting, &data, &size);

        if (text)
                cm_buf_add(out, text, strlen(text));
        if (data)
                cm_wipe(data, (size_t)size);
        free(data);
        return text != NULL;
}
