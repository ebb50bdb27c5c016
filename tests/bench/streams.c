/*
 * Reads N event streams at once and says how they came:   streams PORT SECONDS PATH…(one a line on
 * standard input) Prints, as JSON: events, streams that ended with done, the longest time between
 * two events of one stream, and the p99 of that, in microseconds.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_STREAMS 10000
#define MARK        "\nevent: "

struct stream {
        int fd;
        int64_t last_us; /* when the last event came; 0: none yet */
        size_t matched;  /* of MARK, across reads */
        int done;
};

static struct stream streams[MAX_STREAMS];
static int64_t *gaps;
static size_t gap_count, gap_cap, events, ended;

static int64_t now_us(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void note(struct stream *stream, int64_t now)
{
        events++;
        if (stream->last_us) {
                if (gap_count == gap_cap) {
                        gap_cap = gap_cap ? gap_cap * 2 : 1 << 16;
                        gaps = realloc(gaps, gap_cap * sizeof(*gaps));
                        if (!gaps)
                                abort();
                }
                gaps[gap_count++] = now - stream->last_us;
        }
        stream->last_us = now;
}

static void take(struct stream *stream, const char *data, size_t len)
{
        const int64_t now = now_us();

        for (size_t i = 0; i < len; i++) {
                if (stream->matched == sizeof(MARK) - 1) {
                        stream->matched = 0;
                        note(stream, now);
                        stream->done |= data[i] == 'd' && i + 1 < len && data[i + 1] == 'o';
                }
                stream->matched =
                        data[i] == MARK[stream->matched] ? stream->matched + 1 : data[i] == MARK[0];
        }
}

static void open_stream(int poll, int port, struct stream *stream, const char *path)
{
        const struct sockaddr_in name = { .sin_family = AF_INET,
                                          .sin_port = htons((uint16_t)port),
                                          .sin_addr = { htonl(INADDR_LOOPBACK) } };
        struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = stream } };
        char request[256];
        int n = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\n\r\n", path);

        stream->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (stream->fd < 0 || connect(stream->fd, (const void *)&name, sizeof(name)) < 0 ||
            write(stream->fd, request, (size_t)n) != n ||
            epoll_ctl(poll, EPOLL_CTL_ADD, stream->fd, &event) < 0) {
                perror("streams");
                exit(1);
        }
}

static void read_stream(struct stream *stream, size_t *open)
{
        char data[65536];
        ssize_t n = read(stream->fd, data, sizeof(data));

        if (n > 0) {
                take(stream, data, (size_t)n);
                return;
        }
        ended += stream->done != 0;
        close(stream->fd);
        (*open)--;
}

static int by_size(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
        int poll = epoll_create1(0);
        char path[200];
        size_t count = 0, open;
        int64_t until;

        if (argc < 3)
                return 2;
        while (count < MAX_STREAMS && fgets(path, sizeof(path), stdin)) {
                path[strcspn(path, "\n")] = '\0';
                open_stream(poll, atoi(argv[1]), &streams[count++], path);
        }
        until = now_us() + atoll(argv[2]) * 1000000;
        for (open = count; open && now_us() < until;) {
                struct epoll_event ready[256];
                int n = epoll_wait(poll, ready, 256, 100);

                for (int i = 0; i < n; i++)
                        read_stream(ready[i].data.ptr, &open);
        }
        qsort(gaps, gap_count, sizeof(*gaps), by_size);
        printf("{\"streams\": %zu, \"ended\": %zu, \"events\": %zu, \"longest_us\": %lld, "
               "\"p99_us\": %lld}\n",
               count, ended, events, gap_count ? (long long)gaps[gap_count - 1] : 0,
               gap_count ? (long long)gaps[gap_count * 99 / 100] : 0);
        return 0;
}
