#include "http/tus.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/error.h"
#include "http/test_support.h"
#include "http/tus_internal.h"
#include "sys/log.h"

static struct harness harness;
static struct cm_work_lane *lane;
static struct cm_tus *tus;
static char folder[] = "/tmp/tus_test.XXXXXX";
static struct cm_uuid owner = { { 1 } };
static int completed, logged;
static int completed_result;
static cm_time life_us;

static int on_completed(struct cm_request *request CM_UNUSED,
                        const struct cm_tus_upload *upload CM_UNUSED, void *arg CM_UNUSED)
{
        completed++;
        return completed_result;
}

static int on_created(struct cm_request *request, const struct cm_tus_upload *upload,
                      void *arg CM_UNUSED)
{
        struct cm_str name = cm_tus_metadata(upload, "name", cm_request_arena(request));

        if (!cm_str_equal(name, CM_STR("evil")))
                return 0;
        return cm_reply_invalid(request, "/header/upload-metadata", "evil"), 1;
}

struct id_params {
        struct cm_uuid id;
};

static const struct cm_schema id_schema = { .name = "Id",
                                            .type = CM_TYPE_UUID,
                                            .size = sizeof(struct cm_uuid) };
static const struct cm_param id_params[] = { { "id", CM_IN_PATH, &id_schema,
                                               offsetof(struct id_params, id), CM_NO_OFFSET } };

static int call_options(struct cm_request *request, const void *params CM_UNUSED,
                        const void *body CM_UNUSED)
{
        return cm_tus_options(tus, request);
}

static int call_create(struct cm_request *request, const void *params CM_UNUSED,
                       const void *body CM_UNUSED)
{
        return cm_tus_create(tus, request, &owner);
}

static int call_head(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        return cm_tus_head(tus, request, &owner, &((const struct id_params *)params)->id);
}

static int call_patch(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        return cm_tus_patch(tus, request, &owner, &((const struct id_params *)params)->id);
}

static int call_delete(struct cm_request *request, const void *params, const void *body CM_UNUSED)
{
        return cm_tus_delete(tus, request, &owner, &((const struct id_params *)params)->id);
}

#define ID .params = id_params, .param_count = 1, .params_size = sizeof(struct id_params)
static const struct cm_route route_table[] = {
        { .method = "OPTIONS", .path = "/u", .operation = "o", .call = call_options },
        { .method = "POST", .path = "/u", .operation = "c", .streamed = true, .call = call_create },
        { .method = "HEAD", .path = "/u/{id}", .operation = "h", ID, .call = call_head },
        { .method = "PATCH",
          .path = "/u/{id}",
          .operation = "p",
          .streamed = true,
          .max_body = 1 << 30,
          ID,
          .call = call_patch },
        { .method = "DELETE", .path = "/u/{id}", .operation = "d", ID, .call = call_delete },
};
static const struct cm_routes routes = { route_table, CM_COUNT(route_table), NULL };
static const struct cm_routes *const tables[] = { &routes };

static void count_log(enum cm_log_level level CM_UNUSED, struct cm_str line CM_UNUSED,
                      void *arg CM_UNUSED)
{
        logged++;
}

static void new_tus(void)
{
        const struct cm_tus_config config = { .folder = folder,
                                              .prefix = "/u/",
                                              .max_size = 100,
                                              .life_us = life_us,
                                              .lane = lane,
                                              .created = on_created,
                                              .completed = on_completed };

        assert_int_equal(cm_tus_new(&config, &tus), 0);
}

static int setup(void **state CM_UNUSED)
{
        const struct cm_server_config config = {
                .routes = tables,
                .routes_count = 1,
                .limits = { .grace_us = 60 * CM_MILLISECOND },
        };

        strcpy(folder, "/tmp/tus_test.XXXXXX");
        assert_non_null(mkdtemp(folder));
        assert_int_equal(cm_work_lane_new("files", 1, 100, &lane), 0);
        life_us = CM_HOUR;
        completed = completed_result = logged = 0;
        owner = (struct cm_uuid){ { 1 } };
        new_tus();
        cm_log_set_hook(count_log, NULL);
        harness_start(&harness, &config, 100);
        return 0;
}

static int count_files(void)
{
        DIR *dir = opendir(folder);
        const struct dirent *entry;
        int count = 0;

        while ((entry = readdir(dir)))
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count;
}

static int teardown(void **state CM_UNUSED)
{
        char command[64];

        harness_stop(&harness);
        cm_log_set_hook(NULL, NULL);
        cm_tus_free(&tus);
        cm_work_lane_free(&lane);
        (void)snprintf(command, sizeof(command), "rm -r %s", folder);
        return system(command);
}

/* ---- talking */

static char *ask(const char *method, const char *path, const char *headers, const char *body)
{
        char request[2048];
        bool tusless = strstr(headers, "Tus-Resumable") != NULL;

        (void)snprintf(request, sizeof(request),
                       "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s\r\n%s", method, path,
                       tusless ? "" : "Tus-Resumable: 1.0.0\r\n", headers, body);
        return exchange(&harness, request, 0);
}

static void expect(const char *method, const char *path, const char *headers, const char *body,
                   const char *want)
{
        char *reply = ask(method, path, headers, body);

        if (!strstr(reply, want))
                fail_msg("%s %s: no %s in\n%s", method, path, want, reply);
        cm_free(reply);
}

#define MEDIA "Content-Type: application/offset+octet-stream\r\n"

static void create(const char *headers, char path[64])
{
        char *reply = ask("POST", "/u", headers, ""), *at = strstr(reply, "Location: ");

        assert_non_null(strstr(reply, "HTTP/1.1 201 Created"));
        assert_non_null(strstr(reply, "Upload-Expires: "));
        assert_non_null(at);
        assert_int_equal(sscanf(at, "Location: %63s", path), 1);
        cm_free(reply);
}

static void test_an_upload_in_pieces(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 10\r\nUpload-Metadata: name ZXhwb3J0LnppcA==\r\n", path);
        expect("HEAD", path, "", "", "Upload-Offset: 0\r\nUpload-Length: 10\r\n");
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 4\r\n", "0123",
               "HTTP/1.1 204");
        expect("HEAD", path, "", "", "Upload-Offset: 4\r\n");
        expect("HEAD", path, "", "", "Upload-Metadata: name ZXhwb3J0LnppcA==\r\n");
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 4\r\n", "0123", "409");
        assert_int_equal(completed, 0);
        expect("PATCH", path, MEDIA "Upload-Offset: 4\r\nContent-Length: 6\r\n", "456789",
               "Upload-Offset: 10\r\n");
        assert_int_equal(completed, 1);
        expect("HEAD", path, "", "", "Upload-Offset: 10\r\n");
        assert_int_equal(completed, 1);
        expect("DELETE", path, "", "", "409");
        assert_int_equal(logged, 0);
}

static void test_creation_with_upload(void **state CM_UNUSED)
{
        expect("POST", "/u", MEDIA "Upload-Length: 4\r\nContent-Length: 4\r\n", "0123",
               "Upload-Offset: 4\r\n");
        assert_int_equal(completed, 1);
        expect("POST", "/u", "Upload-Length: 0\r\n", "", "201");
        assert_int_equal(completed, 2);
}

static void test_what_is_refused(void **state CM_UNUSED)
{
        static const struct {
                const char *method, *headers, *body, *want;
        } rows[] = {
                { "POST", "Tus-Resumable: 0.2.2\r\nUpload-Length: 1\r\n", "", "412" },
                { "POST", "Tus-Resumable: 0.2.2\r\nUpload-Length: 1\r\n", "",
                  "Tus-Version: 1.0.0" },
                { "POST", "", "", "/header/upload-length" },
                { "POST", "Upload-Length: x\r\n", "", "400" },
                { "POST", "Upload-Length: 101\r\n", "", "413" },
                { "POST", "Upload-Length: 101\r\n", "", "Tus-Max-Size: 100" },
                { "POST", "Upload-Length: 1\r\nUpload-Metadata: a b c\r\n", "", "400" },
                { "POST", "Upload-Length: 1\r\nUpload-Metadata: name ZXZpbA==\r\n", "", "400" },
                { "POST", "Upload-Length: 1\r\nContent-Length: 1\r\nContent-Type: a/b\r\n", "x",
                  "415" },
                { "POST", MEDIA "Upload-Length: 1\r\nContent-Length: 2\r\n", "xx", "413" },
                { "PATCH", "Upload-Offset: 0\r\nContent-Length: 1\r\n", "x", "415" },
                { "PATCH", MEDIA "Content-Length: 1\r\n", "x", "/header/upload-offset" },
                { "PATCH", MEDIA "Upload-Offset: 0\r\nContent-Length: 1\r\n", "x", "404" },
                { "HEAD", "", "", "404" },
                { "DELETE", "", "", "404" },
        };

        for (size_t i = 0; i < CM_COUNT(rows); i++)
                expect(rows[i].method,
                       rows[i].method[1] == 'O' ? "/u" : "/u/00000000-0000-0000-0000-000000000001",
                       rows[i].headers, rows[i].body, rows[i].want);
        assert_int_equal(count_files(), 0);
}

static void test_more_bytes_than_the_length_count_for_nothing(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 4\r\n", path);
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 5\r\n", "01234", "413");
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nTransfer-Encoding: chunked\r\n",
               "3\r\n012\r\n3\r\n345\r\n0\r\n\r\n", "413");
        expect("HEAD", path, "", "", "Upload-Offset: 0\r\n");
}

static void test_bytes_of_a_client_that_went_away_are_kept(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 10\r\n", path);
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 10\r\n", "012", "408");
        expect("HEAD", path, "", "", "Upload-Offset: 3\r\n");
}

static void test_checksums_decide(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 11\r\n", path);
        expect("PATCH", path,
               MEDIA "Upload-Offset: 0\r\nContent-Length: 11\r\n"
                     "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n",
               "hello worlx", " 460 ");
        expect("HEAD", path, "", "", "Upload-Offset: 0\r\n");
        expect("PATCH", path,
               MEDIA "Upload-Offset: 0\r\nContent-Length: 11\r\n"
                     "Upload-Checksum: sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=\r\n",
               "hello world", " 204 ");
        expect("PATCH", path,
               MEDIA "Upload-Offset: 11\r\nContent-Length: 0\r\nUpload-Checksum: crc 1\r\n", "",
               "400");
}

static void test_a_completion_that_fails_is_tried_again(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 4\r\n", path);
        completed_result = -CM_E_UNAVAILABLE;
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 4\r\n", "0123", "503");
        expect("HEAD", path, "", "", "503");
        completed_result = 0;
        expect("HEAD", path, "", "", "Upload-Offset: 4\r\n");
        expect("HEAD", path, "", "", "Upload-Offset: 4\r\n");
        assert_int_equal(completed, 3);
}

static void open_data(const char *path, int flags, int *fd_r)
{
        char name[128];

        (void)snprintf(name, sizeof(name), "%s/%s.data", folder, path + 3);
        *fd_r = open(name, flags);
        assert_true(*fd_r >= 0);
}

static void test_one_writer_at_a_time(void **state CM_UNUSED)
{
        char path[64];
        int fd;

        create("Upload-Length: 4\r\n", path);
        open_data(path, O_RDONLY, &fd);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 4\r\n", "0123", "423");
        expect("DELETE", path, "", "", "423");
        close(fd);
        expect("DELETE", path, "", "", "204");
        expect("HEAD", path, "", "", "404");
        assert_int_equal(count_files(), 0);
}

static void test_what_a_crash_left_behind_the_offset_is_cut(void **state CM_UNUSED)
{
        char path[64], found[16] = "";
        int fd;

        create("Upload-Length: 8\r\n", path);
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 2\r\n", "01", "204");
        open_data(path, O_WRONLY | O_APPEND, &fd);
        assert_int_equal(write(fd, "garbage", 7), 7);
        close(fd);
        expect("HEAD", path, "", "", "Upload-Offset: 2\r\n");
        expect("PATCH", path, MEDIA "Upload-Offset: 2\r\nContent-Length: 2\r\n", "23", "204");
        open_data(path, O_RDONLY, &fd);
        assert_int_equal(read(fd, found, sizeof(found) - 1), 4);
        assert_string_equal(found, "0123");
        close(fd);
}

static void test_a_broken_record_begins_again(void **state CM_UNUSED)
{
        char path[64], name[128];
        int fd;

        create("Upload-Length: 4\r\n", path);
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 2\r\n", "01", "204");
        (void)snprintf(name, sizeof(name), "%s/%s.info", folder, path + 3);
        fd = open(name, O_WRONLY);
        assert_int_equal(pwrite(fd, "9", 1, 24), 1);
        close(fd);
        expect("HEAD", path, "", "", "Upload-Offset: 0\r\n");
        assert_int_equal(logged, 1);
}

static void test_other_owners_find_nothing(void **state CM_UNUSED)
{
        char path[64];

        create("Upload-Length: 4\r\n", path);
        owner.bytes[0]++;
        expect("HEAD", path, "", "", "404");
        expect("PATCH", path, MEDIA "Upload-Offset: 0\r\nContent-Length: 4\r\n", "0123", "404");
        expect("DELETE", path, "", "", "404");
        assert_int_equal(count_files(), 2);
}

static void expire_fiber(void *arg)
{
        int64_t *removed = arg;

        assert_int_equal(cm_tus_expire(tus, cm_now(&cm_clock_system), removed), 0);
        cm_loop_stop(harness.loop);
}

static void begin_expire(void *arg)
{
        assert_int_equal(cm_fiber_start("expire", expire_fiber, arg, CM_NEVER), 0);
}

static void test_uploads_expire(void **state CM_UNUSED)
{
        char path[64], kept[64];
        int64_t removed = -1;

        create("Upload-Length: 4\r\n", kept);
        cm_tus_free(&tus);
        life_us = -CM_SECOND;
        new_tus();
        create("Upload-Length: 4\r\n", path);
        expect("HEAD", path, "", "", "410");
        cm_loop_defer(harness.loop, begin_expire, &removed);
        cm_loop_run(harness.loop);
        assert_int_equal(removed, 1);
        expect("HEAD", path, "", "", "404");
        expect("HEAD", kept, "", "", "200 OK");
}

static void test_options(void **state CM_UNUSED)
{
        char *reply = ask("OPTIONS", "/u", "Tus-Resumable: \r\n", "");

        assert_non_null(strstr(reply, "HTTP/1.1 204"));
        assert_non_null(strstr(reply, "Tus-Version: 1.0.0\r\n"));
        assert_non_null(strstr(reply, "Tus-Max-Size: 100\r\n"));
        assert_non_null(strstr(reply, "creation-with-upload"));
        cm_free(reply);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_an_upload_in_pieces),
                T(test_creation_with_upload),
                T(test_what_is_refused),
                T(test_more_bytes_than_the_length_count_for_nothing),
                T(test_bytes_of_a_client_that_went_away_are_kept),
                T(test_checksums_decide),
                T(test_a_completion_that_fails_is_tried_again),
                T(test_one_writer_at_a_time),
                T(test_what_a_crash_left_behind_the_offset_is_cut),
                T(test_a_broken_record_begins_again),
                T(test_other_owners_find_nothing),
                T(test_uploads_expire),
                T(test_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
