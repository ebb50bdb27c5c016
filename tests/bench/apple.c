/*
 * How fast an Apple Health export is read, without a database: our scanner alone, the whole reader
 * (unpack, scan, map, make ids), and expat with no handlers on the same bytes. Prints a line each:
 * name, MB/s of XML, records/s, peak RSS in KiB so far. expat gets the document without its
 * document type, because it takes none that phones write.
 *
 *   apple FILE.xml [ROUNDS]
 */
#include <expat.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apple_scan.h"
#include "base/mem.h"
#include "import_reader.h"

enum { PIECE = 128 << 10 };

struct run {
        int64_t bytes;
        int64_t records;
};

static long peak_kib(void)
{
        struct rusage usage;

        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
}

static struct run run_scan(const char *path)
{
        static char piece[PIECE];
        struct apple_scan *scan = apple_scan_new(NULL);
        struct apple_token token;
        struct run run = { 0 };
        int fd = open(path, O_RDONLY);
        ssize_t len;

        while ((len = read(fd, piece, PIECE)) > 0) {
                apple_scan_feed(scan, piece, (size_t)len);
                while (apple_scan_next(scan, &token) == 0)
                        run.records += token.kind == APPLE_START && token.name.len == 6;
                run.bytes += len;
        }
        close(fd);
        apple_scan_free(&scan);
        return run;
}

static struct run run_reader(const char *path)
{
        const struct import_reader_config config = { .path = path,
                                                     .home_zone = CM_STR("Europe/Berlin"),
                                                     .now = cm_now(&cm_clock_system) };
        struct import_batch *batch = CM_NEW(struct import_batch);
        struct import_reader *reader;
        struct run run;

        import_batch_init(batch);
        if (import_reader_open(&config, &reader) != 0)
                exit(1);
        do {
                if (import_reader_fill(reader, batch) != 0)
                        exit(1);
        } while (!batch->last);
        run = (struct run){ batch->progress.offset, batch->progress.records };
        import_reader_close(&reader);
        import_batch_deinit(batch);
        cm_free(batch);
        return run;
}

/* 0x0B becomes a blank and the document type is left out: then expat takes it. */
static struct run run_expat(const char *path)
{
        static char piece[PIECE];
        XML_Parser parser = XML_ParserCreate(NULL);
        struct run run = { 0 };
        int fd = open(path, O_RDONLY);
        ssize_t len = read(fd, piece, PIECE);
        char *root = len > 0 ? memmem(piece, (size_t)len, "<HealthData", 11) : NULL;
        ssize_t skip = root ? root - piece : 0;

        while (len > 0) {
                for (char *odd = piece; (odd = memchr(odd, 0x0B, (size_t)(piece + len - odd)));)
                        *odd = ' ';
                if (XML_Parse(parser, piece + skip, (int)(len - skip), 0) != XML_STATUS_OK) {
                        fprintf(stderr, "expat: %s in line %lu\n",
                                XML_ErrorString(XML_GetErrorCode(parser)),
                                XML_GetCurrentLineNumber(parser));
                        exit(1);
                }
                run.bytes += len - skip;
                skip = 0;
                len = read(fd, piece, PIECE);
        }
        close(fd);
        XML_ParserFree(parser);
        return run;
}

static void report(const char *name, struct run (*fn)(const char *path), const char *path)
{
        int64_t start = cm_monotonic_us(), us;
        struct run run = fn(path);

        us = cm_monotonic_us() - start;
        printf("%s\t%.1f\t%.0f\t%ld\n", name, (double)run.bytes / (double)us,
               (double)run.records * 1e6 / (double)us, peak_kib());
}

int main(int argc, char **argv)
{
        int rounds = argc > 2 ? atoi(argv[2]) : 3;

        for (int i = 0; i < rounds && argc > 1; i++) {
                report("scan", run_scan, argv[1]);
                report("read", run_reader, argv[1]);
                report("expat", run_expat, argv[1]);
        }
        return argc > 1 ? 0 : 2;
}
