/* Uploaded archives: whatever the bytes are, opening and reading them ends, within the limits, with
 * an answer. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../services/main-health/imports/import_reader.h"
#include "base/assert.h"
#include "base/mem.h"

static void read_all(const char *path)
{
        const struct import_reader_config config = {
                .path = path,
                .limits = { .max_entries = 100, .max_unpacked = 1 << 20, .max_ratio = 50 },
                .home_zone = CM_STR("UTC"),
                .now = CM_DAY * 20000,
        };
        struct import_batch *batch = CM_NEW(struct import_batch);
        struct import_reader *reader = NULL;
        int r = import_reader_open(&config, &reader);

        import_batch_init(batch);
        while (r == 0 && !batch->last)
                r = import_reader_fill(reader, batch);
        CM_ASSERT(batch->progress.offset <= (1 << 20) + (256 << 10));
        import_reader_close(&reader);
        import_batch_deinit(batch);
        cm_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char path[40];
        int fd = memfd_create("upload", MFD_CLOEXEC);

        CM_ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        read_all(path);
        close(fd);
        return 0;
}
