#include "http/mail.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"
#include "sys/fiber.h"
#include "sys/work.h"

enum { DEFAULT_CONNECTIONS = 4, MAX_ADDRESS = 254, MAX_QUEUED = 1000 };
#define DEFAULT_CONNECT_US (5 * CM_SECOND)

/* One connection to the server, or none yet; a message at a time. The thread that uses it opens and
 * closes the socket, the loop may cut it: both look at `fd` under the lock. */
struct connection {
        CURL *easy;
        pthread_mutex_t lock;
        int fd; /* -1: none */
        bool cut;
        struct cm_timer *timer;
        struct connection *next;
};

struct cm_mailer {
        struct cm_mailer_config config;
        struct cm_work_lane *lane;
        struct cm_buf url; /* with our name for EHLO as its path */
        struct connection *idle, *busy;
};

/* One message under way; lives on the fiber's stack. */
struct sending {
        struct cm_mail *mail;
        struct connection *connection;
        struct curl_slist *to;
        size_t read; /* bytes of the message that libcurl has taken */
        bool started;
        int result; /* CURLcode */
};

/* ---- connections */

static void cut(void *arg)
{
        struct connection *connection = arg;

        pthread_mutex_lock(&connection->lock);
        connection->cut = true;
        if (connection->fd >= 0)
                (void)shutdown(connection->fd, SHUT_RDWR);
        pthread_mutex_unlock(&connection->lock);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose CM_UNUSED,
                                 struct curl_sockaddr *address)
{
        struct connection *connection = arg;
        int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

        pthread_mutex_lock(&connection->lock);
        if (fd >= 0 && connection->cut) {
                close(fd);
                fd = -1;
        }
        if (fd >= 0)
                connection->fd = fd;
        pthread_mutex_unlock(&connection->lock);
        return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int close_socket(void *arg, curl_socket_t fd)
{
        struct connection *connection = arg;
        int r;

        pthread_mutex_lock(&connection->lock);
        if (connection->fd == fd)
                connection->fd = -1;
        r = close(fd);
        pthread_mutex_unlock(&connection->lock);
        return r;
}

static struct connection *new_connection(struct cm_mailer *mailer)
{
        struct connection *connection = CM_NEW(struct connection);

        connection->easy = curl_easy_init();
        if (!connection->easy) {
                cm_free(connection);
                return NULL;
        }
        pthread_mutex_init(&connection->lock, NULL);
        connection->fd = -1;
        connection->timer = cm_timer_new(mailer->config.loop, cut, connection);
        return connection;
}

/* Without a farewell: that could take its time. */
static void free_connection(struct connection *connection)
{
        cut(connection);
        curl_easy_cleanup(connection->easy);
        cm_timer_free(&connection->timer);
        pthread_mutex_destroy(&connection->lock);
        cm_free(connection);
}

static struct connection *take_connection(struct cm_mailer *mailer)
{
        struct connection *connection = mailer->idle;

        if (connection)
                mailer->idle = connection->next;
        else
                connection = new_connection(mailer);
        if (!connection)
                return NULL;
        connection->next = mailer->busy;
        mailer->busy = connection;
        return connection;
}

/* What was cut is of no use any more. */
static void give_connection(struct cm_mailer *mailer, struct connection *connection)
{
        struct connection **link = &mailer->busy;

        cm_timer_stop(connection->timer);
        while (*link != connection)
                link = &(*link)->next;
        *link = connection->next;
        if (connection->cut) {
                free_connection(connection);
                return;
        }
        connection->next = mailer->idle;
        mailer->idle = connection;
}

void cm_mailer_cut(struct cm_mailer *mailer)
{
        for (struct connection *it = mailer->busy; it; it = it->next)
                cut(it);
}

/* ---- the mailer */

int cm_mailer_new(const struct cm_mailer_config *config, struct cm_mailer **mailer_r)
{
        struct cm_mailer *mailer;
        int r;

        if (strncmp(config->url, "smtp://", 7) != 0 && strncmp(config->url, "smtps://", 8) != 0)
                return -CM_E_CONFIG;
        if (curl_global_init(CURL_GLOBAL_DEFAULT))
                return -CM_E_INTERNAL;
        mailer = CM_NEW(struct cm_mailer);
        mailer->config = *config;
        if (!mailer->config.max_connections)
                mailer->config.max_connections = DEFAULT_CONNECTIONS;
        if (!mailer->config.connect_us)
                mailer->config.connect_us = DEFAULT_CONNECT_US;
        cm_buf_printf(&mailer->url, "%s/%s", config->url, config->hello);
        r = cm_work_lane_new("mail", mailer->config.max_connections, MAX_QUEUED, &mailer->lane);
        if (r)
                cm_mailer_free(&mailer);
        else
                *mailer_r = mailer;
        return r;
}

void cm_mailer_free(struct cm_mailer **mailer)
{
        struct connection *connection;

        if (!*mailer)
                return;
        while ((connection = (*mailer)->idle)) {
                (*mailer)->idle = connection->next;
                free_connection(connection);
        }
        cm_work_lane_free(&(*mailer)->lane);
        cm_buf_deinit(&(*mailer)->url);
        cm_free(*mailer);
        *mailer = NULL;
}

bool cm_mail_is_address(const char *address)
{
        size_t len = strlen(address);
        const char *at = strrchr(address, '@');

        if (len > MAX_ADDRESS || !at || at == address || !at[1] ||
            !cm_utf8_is_valid((struct cm_str){ address, len }))
                return false;
        for (const char *c = address; *c; c++)
                if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("<>(),;:\\\"[]", *c))
                        return false;
        return strchr(address, '@') == at;
}

static size_t give(char *out, size_t size, size_t count, void *arg)
{
        struct sending *sending = arg;
        struct cm_str message = sending->mail->message;
        size_t left = message.len - sending->read;
        size_t some = size * count < left ? size * count : left;

        sending->started = true;
        memcpy(out, message.data + sending->read, some);
        sending->read += some;
        return some;
}

static long tls_of(enum cm_mail_tls tls)
{
        if (tls == CM_MAIL_TLS_NONE)
                return CURLUSESSL_NONE;
        return tls == CM_MAIL_TLS_OPTIONAL ? CURLUSESSL_TRY : CURLUSESSL_ALL;
}

static void set_up_server(const struct cm_mailer *mailer, struct connection *connection)
{
        const struct cm_mailer_config *config = &mailer->config;
        CURL *easy = connection->easy;

        curl_easy_reset(easy); /* its connection stays */
        curl_easy_setopt(easy, CURLOPT_URL, mailer->url.data);
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(config->connect_us / CM_MILLISECOND));
        curl_easy_setopt(easy, CURLOPT_USE_SSL, tls_of(config->tls));
        if (config->ca_file)
                curl_easy_setopt(easy, CURLOPT_CAINFO, config->ca_file);
        if (config->user) {
                curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
                curl_easy_setopt(easy, CURLOPT_PASSWORD, config->password ? config->password : "");
        }
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, connection);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, connection);
}

static bool set_up_message(struct sending *sending)
{
        CURL *easy = sending->connection->easy;

        sending->to = curl_slist_append(NULL, sending->mail->to);
        curl_easy_setopt(easy, CURLOPT_MAIL_FROM, sending->mail->from);
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, sending->to);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give);
        curl_easy_setopt(easy, CURLOPT_READDATA, sending);
        return sending->to != NULL;
}

/* What the server said counts before how the transfer ended. */
static int outcome(const struct sending *sending)
{
        int code = sending->mail->code;

        if (sending->result == CURLE_OK)
                return 0;
        if (sending->connection->cut || sending->result == CURLE_OPERATION_TIMEDOUT)
                return -CM_E_DEADLINE;
        switch (sending->result) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_USE_SSL_FAILED:
                return -CM_E_PROTOCOL;
        default:
                break;
        }
        if (code >= 500 && code <= 599)
                return sending->result == CURLE_LOGIN_DENIED ? CM_MAIL_LATER : CM_MAIL_REFUSED;
        if (code >= 400 && code <= 499)
                return CM_MAIL_LATER;
        if (sending->started)
                return -CM_E_UNCERTAIN;
        return sending->result == CURLE_WEIRD_SERVER_REPLY ? -CM_E_PROTOCOL : -CM_E_UNAVAILABLE;
}

/* On the lane. */
static int perform(void *arg)
{
        struct sending *sending = arg;
        long code = 0;

        sending->result = (int)curl_easy_perform(sending->connection->easy);
        curl_easy_getinfo(sending->connection->easy, CURLINFO_RESPONSE_CODE, &code);
        sending->mail->code = (int)code;
        return 0;
}

static int run(struct cm_mailer *mailer, struct sending *sending)
{
        int64_t deadline = cm_fiber_deadline_us(), left = deadline - cm_monotonic_us();
        int r;

        set_up_server(mailer, sending->connection);
        if (!set_up_message(sending))
                return -CM_E_INTERNAL;
        if (deadline != CM_NEVER)
                cm_timer_start(sending->connection->timer, left > 0 ? left : 0);
        r = cm_work_run(mailer->lane, perform, sending);
        return r ? r : outcome(sending);
}

int cm_mail_send(struct cm_mailer *mailer, struct cm_mail *mail)
{
        struct sending sending = { .mail = mail };
        int r;

        mail->code = 0;
        if (!cm_mail_is_address(mail->from) || !cm_mail_is_address(mail->to))
                return CM_MAIL_BAD_ADDRESS;
        sending.connection = take_connection(mailer);
        if (!sending.connection)
                return -CM_E_INTERNAL;
        r = run(mailer, &sending);
        give_connection(mailer, sending.connection);
        curl_slist_free_all(sending.to);
        return r;
}
