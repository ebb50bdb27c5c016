/*
 * Load over HTTP keep-alive connections, closed loop, one thread: cheap enough that the server is
 * what is measured, and strict enough that its answers can be checked. For each request that was
 * answered with 2xx the value of "id" is written to a file; scripts/bench then looks every one of
 * them up in the database.
 *
 * usage: load HOST PORT CONNECTIONS SECONDS METHOD PATH TOKENS BODIES IDS [REFUSED]
 *   SECONDS "15", or "15@200": each connection begins 200 requests a second, and no more
 *   TOKENS  a file, one bearer token a line; requests take them in turn ("-": none)
 *   BODIES  a file, one JSON body a line, taken in turn ("-": no body); "chain:FILE": a refresh
 *           token a line, one for each connection, which goes on with the token that each answer
 *           brings; "form:FILE": the same with forms, whose last field is the token
 *   IDS     a file for the acknowledged ids, 36 characters a line ("-": none)
 *   REFUSED a status that is no failure here: these answers are counted and timed apart
 *
 * Prints one JSON object: requests, failed, seconds, p50_us, p99_us; with REFUSED also refused,
 * refused_p99_us.
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
        char chain[600]; /* the next body, of a chain */
        int64_t begun_ns, due_ns;
};

static struct {
        const char *host, *method, *path;
        int port, connections;
        struct lines tokens, bodies;
        FILE *ids;
        bool chains, forms; /* a form is a chain too */
        uint64_t sequence, nonce;
        uint64_t requests, failed;
        struct latencies {
                uint64_t *us;
                size_t count, cap;
        } answered, refused;
        int64_t interval_ns;
        int refusal;
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

static void set_chain(struct connection *c, const char *token, int len)
{
        if (run.forms) {
                char *last = strrchr(c->chain, '=') + 1;

                snprintf(last, sizeof(c->chain) - (size_t)(last - c->chain), "%.*s", len, token);
                return;
        }
        snprintf(c->chain, sizeof(c->chain), "{\"refresh_token\":\"%.*s\"}", len, token);
}

static void begin_chain(struct connection *c, const char *line)
{
        if (run.forms)
                snprintf(c->chain, sizeof(c->chain), "%s", line);
        else
                set_chain(c, line, (int)strlen(line));
}

static const char *next_body(const struct connection *c)
{
        if (run.chains)
                return c->chain;
        return run.bodies.count ? run.bodies.items[run.sequence % run.bodies.count] : "";
}

static void compose(struct connection *c)
{
        const char *body = next_body(c);
        const char *token =
                run.tokens.count ? run.tokens.items[run.sequence % run.tokens.count] : NULL;
        int n = snprintf(c->out, sizeof(c->out), "%s %s HTTP/1.1\r\nHost: %s\r\n", run.method,
                         run.path, run.host);

        if (token)
                n += snprintf(c->out + n, sizeof(c->out) - (size_t)n,
                              "Authorization: Bearer %s\r\n", token);
        if (run.bodies.count)
                n += snprintf(c->out + n, sizeof(c->out) - (size_t)n,
                              "Content-Type: application/%s\r\nContent-Length: %zu\r\n"
                              "Idempotency-Key: %016llx-%llu\r\n",
                              run.forms ? "x-www-form-urlencoded" : "json", strlen(body),
                              (unsigned long long)run.nonce, (unsigned long long)run.sequence);
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

static void follow_chain(struct connection *c, const char *body)
{
        const char *token = strstr(body, "\"refresh_token\":\"");

        if (!token) {
                fprintf(stderr, "no token in: %.300s\n", body);
                exit(2);
        }
        token += strlen("\"refresh_token\":\"");
        set_chain(c, token, (int)strcspn(token, "\""));
}

static void add_latency(struct latencies *to, const struct connection *c)
{
        if (to->count == to->cap) {
                to->cap = to->cap ? to->cap * 2 : 1 << 16;
                to->us = realloc(to->us, to->cap * sizeof(uint64_t));
        }
        to->us[to->count++] = (uint64_t)(now_ns() - c->begun_ns) / 1000;
}

static void account(struct connection *c, int status, const char *body)
{
        const char *id;

        if (run.refusal && status == run.refusal) {
                add_latency(&run.refused, c);
                return;
        }
        run.requests++;
        add_latency(&run.answered, c);
        if (status < 200 || status > 299) {
                if (!run.failed++)
                        fprintf(stderr, "first failure: %d %.300s\n", status, body);
                return;
        }
        if (run.chains)
                follow_chain(c, body);
        if (!run.ids)
                return;
        id = strstr(body, "\"id\"");
        id = id ? strchr(id + 4, '"') : NULL;
        if (id)
                fprintf(run.ids, "%.36s\n", id + 1);
        else if (!run.failed++)
                fprintf(stderr, "no id in: %.300s\n", body);
}

static void begin_request(struct connection *c)
{
        compose(c);
        send_some(c);
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
        if (go_on && !run.interval_ns)
                begin_request(c);
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

/* Begins what is due, and returns how long nothing will be, in ms. */
static int begin_due(struct connection *connections, int64_t end)
{
        int64_t next = INT64_MAX;
        int64_t now = now_ns();

        for (int i = 0; i < run.connections; i++) {
                struct connection *c = &connections[i];

                if (!c->out_len && c->due_ns <= now && now < end) {
                        begin_request(c);
                        c->due_ns += run.interval_ns;
                }
                if (!c->out_len && c->due_ns < next)
                        next = c->due_ns;
        }
        return next == INT64_MAX ? 10000 : next > now ? (int)((next - now) / 1000000) + 1 : 0;
}

static uint64_t percentile(const struct latencies *of, size_t percent)
{
        return of->count ? of->us[of->count * percent / 100] : 0;
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

        if (argc != 10 && argc != 11) {
                fprintf(stderr, "usage: load HOST PORT CONNECTIONS SECONDS METHOD PATH TOKENS "
                                "BODIES IDS [REFUSED]\n");
                return 2;
        }
        run.host = argv[1];
        run.port = (int)strtol(argv[2], NULL, 10);
        run.connections = (int)strtol(argv[3], NULL, 10);
        run.method = argv[5];
        run.path = argv[6];
        run.tokens = read_lines(argv[7]);
        run.forms = strncmp(argv[8], "form:", 5) == 0;
        run.chains = run.forms || strncmp(argv[8], "chain:", 6) == 0;
        run.bodies = read_lines(run.chains ? strchr(argv[8], ':') + 1 : argv[8]);
        run.ids = strcmp(argv[9], "-") ? fopen(argv[9], "w") : NULL;
        run.nonce = (uint64_t)now_ns() ^ (uint64_t)getpid() << 40;
        run.refusal = argc == 11 ? (int)strtol(argv[10], NULL, 10) : 0;
        if (strchr(argv[4], '@'))
                run.interval_ns = (int64_t)(1e9 / strtod(strchr(argv[4], '@') + 1, NULL));
        run.epoll = epoll_create1(0);
        connections = calloc((size_t)run.connections, sizeof(*connections));
        for (int i = 0; i < run.connections; i++)
                open_connection(&connections[i]);
        for (int i = 0; run.chains && i < run.connections; i++)
                begin_chain(&connections[i], run.bodies.items[i]);
        begin = now_ns();
        end = begin + (int64_t)(strtod(argv[4], NULL) * 1e9);
        for (int i = 0; i < run.connections; i++) {
                begin_request(&connections[i]);
                connections[i].due_ns = begin + run.interval_ns;
        }
        while (!is_all_answered(connections) || (run.interval_ns && now_ns() < end)) {
                int wait_ms = run.interval_ns ? begin_due(connections, end) : 10000;
                int n = epoll_wait(run.epoll, events, 256, wait_ms);

                if (n < 0 || (n == 0 && wait_ms >= 10000))
                        die("the server is silent");
                for (int i = 0; i < n; i++)
                        receive(events[i].data.ptr, now_ns() < end);
        }
        stopped = now_ns();
        seconds = (double)(stopped - begin) / 1e9;
        if (run.ids)
                fclose(run.ids);
        qsort(run.answered.us, run.answered.count, sizeof(uint64_t), by_value);
        qsort(run.refused.us, run.refused.count, sizeof(uint64_t), by_value);
        printf("{\"requests\": %llu, \"failed\": %llu, \"seconds\": %.3f, \"p50_us\": %llu, "
               "\"p99_us\": %llu, \"refused\": %zu, \"refused_p99_us\": %llu}\n",
               (unsigned long long)run.requests, (unsigned long long)run.failed, seconds,
               (unsigned long long)percentile(&run.answered, 50),
               (unsigned long long)percentile(&run.answered, 99), run.refused.count,
               (unsigned long long)percentile(&run.refused, 99));
        free(connections);
        return run.failed ? 1 : 0;
}
