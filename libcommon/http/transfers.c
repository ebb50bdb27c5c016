#include "http/transfers.h"

#include <curl/curl.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/time.h"

struct cm_transfers {
        struct cm_loop *loop;
        CURLM *multi;
        struct cm_timer *timer;
};

struct socket_watch {
        struct cm_transfers *transfers;
        curl_socket_t fd;
        struct cm_watch *watch;
};

/* One under way; lives on the fiber's stack. */
struct transfer {
        struct cm_wait wait;
        CURLcode result;
};

static void reap(struct cm_transfers *transfers)
{
        struct CURLMsg *message;
        struct transfer *transfer;
        int left;

        while ((message = curl_multi_info_read(transfers->multi, &left))) {
                if (message->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
                transfer->result = message->data.result;
                cm_wait_done(&transfer->wait, 0);
        }
}

static void on_timer(void *arg)
{
        struct cm_transfers *transfers = arg;
        int running;

        curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        reap(transfers);
}

static int want_timer(CURLM *multi CM_UNUSED, long delay_ms, void *arg)
{
        struct cm_transfers *transfers = arg;

        if (delay_ms < 0)
                cm_timer_stop(transfers->timer);
        else
                cm_timer_start(transfers->timer, delay_ms * CM_MILLISECOND);
        return 0;
}

static void on_socket(void *arg, int events)
{
        const struct socket_watch *it = arg;
        struct cm_transfers *transfers = it->transfers;
        int running, mask = (events & CM_READABLE ? CURL_CSELECT_IN : 0) |
                            (events & CM_WRITABLE ? CURL_CSELECT_OUT : 0);

        /* May free `it`. */
        curl_multi_socket_action(transfers->multi, it->fd, mask, &running);
        reap(transfers);
}

static int want_socket(CURL *easy CM_UNUSED, curl_socket_t fd, int what, void *arg, void *known)
{
        struct cm_transfers *transfers = arg;
        struct socket_watch *it = known;

        if (what == CURL_POLL_REMOVE) {
                if (it) {
                        cm_watch_free(&it->watch);
                        cm_free(it);
                }
                curl_multi_assign(transfers->multi, fd, NULL);
                return 0;
        }
        if (!it) {
                it = CM_NEW(struct socket_watch);
                it->transfers = transfers;
                it->fd = fd;
                it->watch = cm_watch_new(transfers->loop, fd, on_socket, it);
                curl_multi_assign(transfers->multi, fd, it);
        }
        cm_watch_set(it->watch, (what & CURL_POLL_IN ? CM_READABLE : 0) |
                                        (what & CURL_POLL_OUT ? CM_WRITABLE : 0));
        return 0;
}

int cm_transfers_new(struct cm_loop *loop, size_t max_connections,
                     struct cm_transfers **transfers_r)
{
        struct cm_transfers *transfers = CM_NEW(struct cm_transfers);

        transfers->loop = loop;
        transfers->timer = cm_timer_new(loop, on_timer, transfers);
        transfers->multi = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_multi_init();
        if (!transfers->multi) {
                cm_transfers_free(&transfers);
                return -CM_E_INTERNAL;
        }
        curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
        curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
        curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, want_timer);
        curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
        curl_multi_setopt(transfers->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)max_connections);
        *transfers_r = transfers;
        return 0;
}

void cm_transfers_free(struct cm_transfers **transfers)
{
        struct cm_transfers *it = *transfers;

        if (!it)
                return;
        if (it->multi)
                curl_multi_cleanup(it->multi);
        cm_timer_free(&it->timer);
        cm_free(it);
        *transfers = NULL;
}

int cm_transfers_run(struct cm_transfers *transfers, void *easy, int *result_r)
{
        struct transfer transfer = { .result = CURLE_OK };
        int r;

        curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
        cm_wait_init(&transfer.wait);
        if (curl_multi_add_handle(transfers->multi, easy) != CURLM_OK)
                return -CM_E_INTERNAL;
        r = cm_wait_for(&transfer.wait);
        curl_multi_remove_handle(transfers->multi, easy);
        *result_r = (int)transfer.result;
        return r;
}
