/*
 * The ceiling of sign-ins: bcrypt by libxcrypt on all cores with nothing else to do.
 *
 * usage: bcrypt COST THREADS SECONDS
 * Prints hashes a second.
 */
#include <crypt.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char setting[CRYPT_GENSALT_OUTPUT_SIZE];
static double seconds;

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *hash(void *rate_r)
{
        struct crypt_data *data = calloc(1, sizeof(*data));
        double begun = now();
        int count = 0;

        while (now() - begun < seconds) {
                if (!crypt_rn("9Mp3JkYt0dLq5xWv8nZc2bHf7gRs4aEu1oTiKwPlXyQ=", setting, data,
                              sizeof(*data)))
                        exit(2);
                count++;
        }
        *(double *)rate_r = count / (now() - begun);
        free(data);
        return NULL;
}

int main(int argc, char **argv)
{
        int threads = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
        pthread_t ids[64];
        double rates[64];
        double sum = 0;

        if (threads < 1 || threads > 64) {
                fprintf(stderr, "usage: bcrypt COST THREADS SECONDS\n");
                return 2;
        }
        seconds = strtod(argv[3], NULL);
        if (!crypt_gensalt_rn("$2b$", strtoul(argv[1], NULL, 10), "0123456789abcdef", 16, setting,
                              sizeof(setting)))
                return 2;
        for (int i = 0; i < threads; i++)
                pthread_create(&ids[i], NULL, hash, &rates[i]);
        for (int i = 0; i < threads; i++) {
                pthread_join(ids[i], NULL);
                sum += rates[i];
        }
        printf("%.3f\n", sum);
        return 0;
}
