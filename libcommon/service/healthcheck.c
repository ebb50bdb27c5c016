#include "service/healthcheck.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"

#define WAIT_S 3

static const char request[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";

/* "host:port", "[host]:port"; false when it is neither. */
static bool split(const char *listen, char host[256], char port[16])
{
        const char *colon = strrchr(listen, ':');
        size_t len = colon ? (size_t)(colon - listen) : 0;

        if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']') {
                listen++;
                len -= 2;
        }
        if (!colon || len >= 256 || strlen(colon + 1) >= 16)
                return false;
        (void)snprintf(host, 256, "%.*s", (int)len, listen);
        (void)snprintf(port, 16, "%s", colon + 1);
        if (len == 0 || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "*") == 0)
                (void)snprintf(host, 256, "127.0.0.1");
        else if (strcmp(host, "::") == 0)
                (void)snprintf(host, 256, "::1");
        return true;
}

static int open_socket(const char *host, const char *port)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        const struct timeval wait = { .tv_sec = WAIT_S };
        struct addrinfo *found = NULL;
        int fd;

        if (getaddrinfo(host, port, &hints, &found))
                return -1;
        fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd >= 0) {
                (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
                (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
                if (connect(fd, found->ai_addr, found->ai_addrlen)) {
                        close(fd);
                        fd = -1;
                }
        }
        freeaddrinfo(found);
        return fd;
}

/* The status line is all that is read: "HTTP/1.1 200". */
static bool ask(int fd)
{
        char line[13] = "";
        size_t len = 0;
        ssize_t n = 1;

        if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
                return false;
        while (len < sizeof(line) - 1 && n > 0) {
                n = recv(fd, line + len, sizeof(line) - 1 - len, 0);
                len += n > 0 ? (size_t)n : 0;
        }
        return strncmp(line, "HTTP/1.", 7) == 0 && strcmp(line + 8, " 200") == 0;
}

int healthcheck(const char *listen)
{
        char host[256], port[16];
        int fd = split(listen, host, port) ? open_socket(host, port) : -1;
        bool healthy = fd >= 0 && ask(fd);

        if (fd >= 0)
                close(fd);
        if (!healthy)
                (void)fprintf(stderr, "%s: not healthy\n", listen);
        return healthy ? 0 : -CM_E_UNAVAILABLE;
}
