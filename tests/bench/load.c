/*
 * Load over HTTP keep-alive connections, closed loop, one thread: cheap enough that the server is
 * what is measured, and strict enough that its answers can be checked. For each request that was
 * answered with 2xx the value of "id" is written to a file; scripts/bench then looks every one of
 * them up in the database.
 *
 * usage: load HOST PORT CONNECTIONS SECONDS METHOD PATH TOKENS BODIES IDS
 *   TOKENS  a file, one bearer token a line; requests take them in turn ("-": none)
 *   BODIES  a file, one JSON body a line, taken in turn ("-": no body)
 *   IDS     a file for the acknowledged ids, 36 characters a line ("-": none)
 *
 * Prints one JSON object: requests, failed, seconds, p50_us, p99_us.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct lines {
        char **items;
        size_t count;
};

struct connection {
        int fd;
        char out[8192];
        size_t out_len, out_sent;
        char in[65536];
        size_t in_len;
        int64_t begun_ns;
};

static struct {
        const char *host, *method, *path;
        int port, connections;
        struct lines tokens, bodies;
        FILE *ids;
        uint64_t sequence, nonce;
        uint64_t requests, failed;
        uint64_t *latencies_us;
        size_t latency_count, latency_cap;
        int epoll;
} run;

static int64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what)
{
        perror(what);
        exit(2);
}

static struct lines read_lines(const char *path)
{
        struct lines lines = { 0 };
        size_t cap = 0;
        char *line = NULL;
        ssize_t len;
        FILE *file;

        if (strcmp(path, "-") == 0)
                return lines;
        file = fopen(path, "r");
        if (!file)
                die(path);
        while ((len = getline(&line, &cap, file)) > 0) {
                if (line[len - 1] == '\n')
                        line[len - 1] = '\0';
                lines.items = realloc(lines.items, (lines.count + 1) * sizeof(char *));
                lines.items[lines.count++] = strdup(line);
        }
        free(line);
        fclose(file);
        return lines;
}

static void compose(struct connection *c)
{
        const char *body =
                run.bodies.count ? run.bodies.items[run.sequence % run.bodies.count] : "";
        const char *token =
                run.tokens.count ? run.tokens.items[run.sequence % run.tokens.count] : NULL;
        int n = snprintf(c->out, sizeof(c->out), "%s %s HTTP/1.1\r\nHost: %s\r\n", run.method,
                         run.path, run.host);

        if (token)
                n += snprintf(c->out + n, sizeof(c->out) - (size_t)n,
                              "Authorization: Bearer %s\r\n", token);
        if (run.bodies.count)
                n += snprintf(c->out + n, sizeof(c->out) - (size_t)n,
                              "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                              "Idempotency-Key: %016llx-%llu\r\n",
                              strlen(body), (unsigned long long)run.nonce,
                              (unsigned long long)run.sequence);
        n += snprintf(c->out + n, sizeof(c->out) - (size_t)n, "\r\n%s", body);
        if ((size_t)n >= sizeof(c->out)) {
                fprintf(stderr, "request too long\n");
                exit(2);
        }
        run.sequence++;
        c->out_len = (size_t)n;
        c->out_sent = 0;
        c->in_len = 0;
        c->begun_ns = now_ns();
}

static void send_some(struct connection *c)
{
        ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
                die("send");
        if (n > 0)
                c->out_sent += (size_t)n;
}

/* The whole answer is here: its status and its body's length; 0 when it is not complete yet. */
static size_t complete(struct connection *c, int *status_r, char **body_r)
{
        char *end, *length;
        size_t head, body = 0;

        c->in[c->in_len] = '\0';
        end = strstr(c->in, "\r\n\r\n");
        if (!end)
                return 0;
        head = (size_t)(end - c->in) + 4;
        *end = '\0';
        length = strcasestr(c->in, "\r\ncontent-length:");
        if (length)
                body = strtoul(length + 17, NULL, 10);
        *end = '\r';
        if (c->in_len < head + body)
                return 0;
        *status_r = (int)strtol(c->in + 9, NULL, 10);
        *body_r = c->in + head;
        return head + body;
}

static void account(struct connection *c, int status, const char *body)
{
        const char *id;

        run.requests++;
        if (run.latency_count == run.latency_cap) {
                run.latency_cap = run.latency_cap ? run.latency_cap * 2 : 1 << 16;
                run.latencies_us = realloc(run.latencies_us, run.latency_cap * sizeof(uint64_t));
        }
        run.latencies_us[run.latency_count++] = (uint64_t)(now_ns() - c->begun_ns) / 1000;
        if (status < 200 || status > 299) {
                if (!run.failed++)
                        fprintf(stderr, "first failure: %d %.300s\n", status, body);
                return;
        }
        if (!run.ids)
                return;
        id = strstr(body, "\"id\"");
        id = id ? strchr(id + 4, '"') : NULL;
        if (id)
                fprintf(run.ids, "%.36s\n", id + 1);
        else if (!run.failed++)
                fprintf(stderr, "no id in: %.300s\n", body);
}

static void receive(struct connection *c, bool go_on)
{
        ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);
        char *body;
        int status;

        if (n == 0 || (n < 0 && errno != EAGAIN))
                die("receive: the server hung up");
        if (n > 0)
                c->in_len += (size_t)n;
        if (!complete(c, &status, &body))
                return;
        account(c, status, body);
        c->out_len = c->out_sent = 0;
        if (go_on) {
                compose(c);
                send_some(c);
        }
}

static void open_connection(struct connection *c)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)run.port) };
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
        int one = 1;

        inet_pton(AF_INET, run.host, &address.sin_addr);
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        epoll_ctl(run.epoll, EPOLL_CTL_ADD, c->fd, &event);
}

static int by_value(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static bool is_all_answered(const struct connection *connections)
{
        for (int i = 0; i < run.connections; i++)
                if (connections[i].out_len)
                        return false;
        return true;
}

int main(int argc, char **argv)
{
        struct epoll_event events[256];
        struct connection *connections;
        int64_t begin, end, stopped;
        double seconds;

        if (argc != 10) {
                fprintf(stderr, "usage: load HOST PORT CONNECTIONS SECONDS METHOD PATH TOKENS "
                                "BODIES IDS\n");
                return 2;
        }
        run.host = argv[1];
        run.port = (int)strtol(argv[2], NULL, 10);
        run.connections = (int)strtol(argv[3], NULL, 10);
        run.method = argv[5];
        run.path = argv[6];
        run.tokens = read_lines(argv[7]);
        run.bodies = read_lines(argv[8]);
        run.ids = strcmp(argv[9], "-") ? fopen(argv[9], "w") : NULL;
        run.nonce = (uint64_t)now_ns() ^ (uint64_t)getpid() << 40;
        run.epoll = epoll_create1(0);
        connections = calloc((size_t)run.connections, sizeof(*connections));
        for (int i = 0; i < run.connections; i++)
                open_connection(&connections[i]);
        begin = now_ns();
        end = begin + (int64_t)(strtod(argv[4], NULL) * 1e9);
        for (int i = 0; i < run.connections; i++) {
                compose(&connections[i]);
                send_some(&connections[i]);
        }
        while (!is_all_answered(connections)) {
                int n = epoll_wait(run.epoll, events, 256, 10000);

                if (n <= 0)
                        die("the server is silent");
                for (int i = 0; i < n; i++)
                        receive(events[i].data.ptr, now_ns() < end);
        }
        stopped = now_ns();
        seconds = (double)(stopped - begin) / 1e9;
        if (run.ids)
                fclose(run.ids);
        qsort(run.latencies_us, run.latency_count, sizeof(uint64_t), by_value);
        printf("{\"requests\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"p50_us\": %llu, "
               "\"p99_us\": %llu}\n",
               (unsigned long long)run.requests, (unsigned long long)run.failed, seconds,
               (unsigned long long)run.latencies_us[run.latency_count / 2],
               (unsigned long long)run.latencies_us[run.latency_count * 99 / 100]);
        free(connections);
        return run.failed ? 1 : 0;
}
