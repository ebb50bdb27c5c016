#include "openai_stream.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "sse_parse.h"

/* Every dialect of tests/data/provider, cut at every byte, gives what stands beside it. */
#define FOLDER "tests/data/provider"

static struct cm_buf read_file(const char *name, const char *ending)
{
        struct cm_buf out = { 0 };
        char path[512], piece[4096];
        size_t len;
        FILE *file;

        (void)snprintf(path, sizeof(path), FOLDER "/%s%s", name, ending);
        file = fopen(path, "r");
        assert_non_null(file);
        while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
                cm_buf_add(&out, piece, len);
        (void)fclose(file);
        return out;
}

struct reading {
        struct sse_parser parser;
        struct openai_stream stream;
        struct cm_buf text;
        int result;
};

static void feed(struct reading *reading, struct cm_str piece)
{
        struct sse_event event;

        while (reading->result == OPENAI_TAKEN &&
               sse_parse(&reading->parser, &piece, &event) == SSE_EVENT) {
                reading->result = openai_stream_take(&reading->stream, event.data, &reading->text);
                assert_true(!reading->text.len || cm_utf8_is_valid(cm_buf_str(&reading->text)));
        }
}

static void print_text(struct cm_buf *out, struct cm_str text)
{
        for (size_t i = 0; i < text.len; i++)
                if (text.data[i] == '\n')
                        cm_buf_add_str(out, CM_STR("\\n"));
                else
                        cm_buf_add_char(out, text.data[i]);
}

static void describe(const struct reading *reading, struct cm_buf *out)
{
        static const char *const finishes[] = { "none", "stop", "length", "tools", "filter" };
        const struct openai_stream *stream = &reading->stream;

        cm_buf_add_str(out, CM_STR("text "));
        print_text(out, cm_buf_str(&reading->text));
        cm_buf_add_char(out, '\n');
        if (reading->result == OPENAI_ERROR || reading->result < 0) {
                cm_buf_printf(out, reading->result < 0 ? "broken\n" : "error %s\n", stream->error);
                return;
        }
        for (size_t i = 0; i < stream->call_count; i++)
                cm_buf_printf(out, "call %s %s\n", stream->calls[i].name.data,
                              stream->calls[i].arguments.data ? stream->calls[i].arguments.data
                                                              : "");
        cm_buf_printf(out, "finish %s\n", finishes[stream->finish]);
        if (stream->prompt_tokens)
                cm_buf_printf(out, "usage %d %d\n", (int)stream->prompt_tokens,
                              (int)stream->completion_tokens);
        if (reading->result == OPENAI_DONE)
                cm_buf_add_str(out, CM_STR("done\n"));
}

static void check(const char *name, struct cm_str all, const char *expected, size_t cut)
{
        struct reading reading = { .result = OPENAI_TAKEN };
        struct cm_buf found = { 0 };
        struct sse_event event;

        sse_parser_init(&reading.parser, 1 << 20);
        openai_stream_init(&reading.stream);
        feed(&reading, (struct cm_str){ all.data, cut });
        feed(&reading, (struct cm_str){ all.data + cut, all.len - cut });
        if (reading.result == OPENAI_TAKEN && sse_parse_end(&reading.parser, &event))
                reading.result = openai_stream_take(&reading.stream, event.data, &reading.text);
        describe(&reading, &found);
        if (strcmp(found.data, expected) != 0)
                fail_msg("%s cut at %zu:\n%s--- expected\n%s", name, cut, found.data, expected);
        cm_buf_deinit(&found);
        cm_buf_deinit(&reading.text);
        openai_stream_deinit(&reading.stream);
        sse_parser_deinit(&reading.parser);
}

static void test_dialects(void **state CM_UNUSED)
{
        DIR *folder = opendir(FOLDER);
        struct dirent *entry;
        int count = 0;

        assert_non_null(folder);
        while ((entry = readdir(folder))) {
                char *ending = strstr(entry->d_name, ".sse");
                struct cm_buf all, expected;

                if (!ending || ending[4])
                        continue;
                *ending = 0;
                all = read_file(entry->d_name, ".sse");
                expected = read_file(entry->d_name, ".expect");
                for (size_t cut = 0; cut <= all.len; cut++)
                        check(entry->d_name, cm_buf_str(&all), expected.data, cut);
                cm_buf_deinit(&all);
                cm_buf_deinit(&expected);
                count++;
        }
        (void)closedir(folder);
        print_message("%d dialects\n", count);
        assert_true(count >= 50);
}

/* A server that calls without end fills nothing but its own reply. */
static void test_too_many_calls(void **state CM_UNUSED)
{
        struct openai_stream stream;
        struct cm_buf text = { 0 };

        openai_stream_init(&stream);
        for (int i = 0; i < 100; i++) {
                char data[256];

                (void)snprintf(
                        data, sizeof(data),
                        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{"
                        "\"name\":\"x\"}}]}}]}",
                        i);
                assert_int_equal(openai_stream_take(&stream, cm_str_from(data), &text),
                                 OPENAI_TAKEN);
        }
        assert_int_equal(stream.call_count, OPENAI_CALLS);
        assert_true(stream.has_too_many_calls);
        openai_stream_deinit(&stream);
        cm_buf_deinit(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_dialects),
                                            cmocka_unit_test(test_too_many_calls) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
