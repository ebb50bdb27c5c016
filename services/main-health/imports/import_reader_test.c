#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zip.h>

#include "base/attr.h"
#include "base/mem.h"
#include "codec/schema.h"
#include "import_reader.h"

/* A file that is made for one test. */
struct file {
        char path[64];
};

static void file_write(struct file *file, const void *data, size_t len)
{
        int fd;

        strcpy(file->path, "/tmp/salus-import-test-XXXXXX");
        fd = mkstemp(file->path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        close(fd);
}

static void file_remove(struct file *file)
{
        unlink(file->path);
}

static struct import_batch *batch_new(void)
{
        struct import_batch *batch = CM_NEW(struct import_batch);

        import_batch_init(batch);
        return batch;
}

static void batch_free(struct import_batch **batch)
{
        import_batch_deinit(*batch);
        cm_free(*batch);
        *batch = NULL;
}

static struct import_reader_config config_of(const struct file *file)
{
        cm_time now;

        assert_true(cm_time_parse(CM_STR("2026-01-01T00:00:00Z"), &now, NULL));
        return (struct import_reader_config){ .path = file->path,
                                              .home_zone = CM_STR("Europe/Berlin"),
                                              .now = now };
}

/* One line an event: type/subtype flags start end date zone source data. */
static void render_events(const struct import_batch *batch, struct cm_buf *out)
{
        for (size_t i = 0; i < batch->event_count; i++) {
                const struct imported_event *e = &batch->events[i];
                const struct cm_schema *subtypes = e->event_type == HEALTH_EVENT_TYPE_VITAL
                                                           ? &vital_subtype_schema
                                                           : &symptom_subtype_schema;
                char start[CM_TIME_TEXT_SIZE], end[CM_TIME_TEXT_SIZE] = "-",
                                               date[CM_DATE_TEXT_SIZE];

                if (e->ended_at != EVENT_NO_END)
                        cm_time_format(e->ended_at, end);
                cm_buf_printf(out, "%s%s %s %s %s %.*s %.*s %.*s\n",
                              cm_schema_enum_name(subtypes, e->event_subtype), e->flags ? "!" : "",
                              cm_time_format(e->occurred_at, start), end,
                              cm_date_format(e->local_date, date), CM_STR_ARG(e->zone),
                              CM_STR_ARG(e->source), CM_STR_ARG(e->event_data));
        }
        for (size_t i = 0; i < batch->finding_count; i++)
                cm_buf_printf(out, "line %ld %.*s: %.*s\n", (long)batch->findings[i].line,
                              CM_STR_ARG(batch->findings[i].type),
                              CM_STR_ARG(batch->findings[i].reason));
}

/* Reads a document of these elements; returns what its first batch came to. */
static int read_elements(const char *elements, struct import_batch *batch)
{
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        CM_CLEANUP(file_remove) struct file file;
        CM_CLEANUP(import_reader_close) struct import_reader *reader = NULL;
        struct import_reader_config config;
        int r;

        cm_buf_printf(&text, "<HealthData>\n%s</HealthData>\n", elements);
        file_write(&file, text.data, text.len);
        config = config_of(&file);
        r = import_reader_open(&config, &reader);
        return r ? r : import_reader_fill(reader, batch);
}

#define Q    "HKQuantityTypeIdentifier"
#define C    "HKCategoryTypeIdentifier"
#define AT   "startDate=\"2024-07-01 08:00:00 +0200\" endDate=\"2024-07-01 08:00:00 +0200\""
#define TO   "startDate=\"2024-07-01 08:00:00 +0200\" endDate=\"2024-07-01 08:10:00 +0200\""
#define WHEN " 2024-07-01T06:00:00Z - 2024-07-01 Europe/Berlin apple_health "
#define LONG " 2024-07-01T06:00:00Z 2024-07-01T06:10:00Z 2024-07-01 Europe/Berlin apple_health "

static const struct {
        const char *elements;
        const char *expected;
} mapped[] = {
        { "<Record type=\"" Q "HeartRate\" unit=\"count/min\" value=\"72\" " AT "/>",
          "heart_rate" WHEN "{\"value\":72,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"150\" " AT "/>",
          "heart_rate" WHEN "{\"value\":150,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"25\" " AT "/>",
          "heart_rate!" WHEN "{\"value\":25,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q "StepCount\" unit=\"count\" value=\"329\" " TO "/>",
          "steps" LONG "{\"value\":329,\"unit\":\"{steps}\"}\n" },
        { "<Record type=\"" Q "OxygenSaturation\" unit=\"%\" value=\"0.97\" " AT "/>",
          "spo2" WHEN "{\"value\":97,\"unit\":\"%\"}\n" },
        { "<Record type=\"" Q "OxygenSaturation\" unit=\"%\" value=\"97\" " AT "/>",
          "spo2" WHEN "{\"value\":97,\"unit\":\"%\"}\n" },
        { "<Record type=\"" Q "BodyTemperature\" unit=\"degF\" value=\"98.6\" " AT "/>",
          "body_temperature" WHEN "{\"value\":98.6,\"unit\":\"[degF]\"}\n" },
        { "<Record type=\"" Q "BodyMass\" unit=\"kg\" value=\"64,5\" " AT "/>",
          "weight" WHEN "{\"value\":64.5,\"unit\":\"kg\"}\n" },
        { "<Record type=\"" Q
          "BloodGlucose\" unit=\"mmol&lt;180.1558800000541&gt;/L\" value=\"5.4\" " AT
          "><MetadataEntry key=\"HKBloodGlucoseMealTime\" value=\"1\"/></Record>",
          "blood_glucose" WHEN
          "{\"value\":5.4,\"unit\":\"mmol/L\",\"context\":\"before_meal\"}\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" " AT
          "><MetadataEntry key=\"HKTimeZone\" value=\"Asia/Tokyo\"/></Record>",
          "heart_rate 2024-07-01T06:00:00Z - 2024-07-01 Asia/Tokyo apple_health "
          "{\"value\":72,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" " AT
          "><MetadataEntry key=\"HKTimeZone\" value=\"Mars/Base\"/></Record>",
          "heart_rate" WHEN "{\"value\":72,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" startDate=\"2024-07-01 23:30:00 -0930\" "
          "endDate=\"2024-07-01 23:30:00 -0930\"/>",
          "heart_rate 2024-07-02T09:00:00Z - 2024-07-01 -09:30 apple_health "
          "{\"value\":72,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" Q
          "HeartRate\" sourceName=\"No\xc3\xa4's &lt;Watch&gt;\x0b\" value=\"72\" " AT "/>",
          "heart_rate 2024-07-01T06:00:00Z - 2024-07-01 Europe/Berlin apple_health:No\xc3\xa4's "
          "<Watch> {\"value\":72,\"unit\":\"/min\"}\n" },
        { "<Record type=\"" C "SleepAnalysis\" value=\"HKCategoryValueSleepAnalysisAsleepCore\" " TO
          "/>",
          "sleep" LONG "{\"stage\":\"light\"}\n" },
        { "<Record type=\"" C "MindfulSession\" " TO "/>",
          "mindful_minutes" LONG "{\"value\":10,\"unit\":\"min\"}\n" },
        { "<Record type=\"" C "Headache\" value=\"HKCategoryValueSeverityModerate\" " TO "/>",
          "general" LONG "{\"symptoms\":[\"headache\"],\"severity\":5}\n" },
        { "<Record type=\"" C "MoodChanges\" value=\"HKCategoryValuePresencePresent\" " TO "/>",
          "general" LONG "{\"symptoms\":[\"mood changes\"]}\n" },
        { "<Record type=\"" C "Headache\" value=\"HKCategoryValueSeverityNotPresent\" " TO "/>",
          "" },
        { "<Record type=\"" Q "BloodPressureSystolic\" unit=\"mmHg\" value=\"120\" " AT "/>", "" },
        { "<Correlation type=\"HKCorrelationTypeIdentifierBloodPressure\" " AT ">"
          "<MetadataEntry key=\"a\" value=\"b\"/>"
          "<Record type=\"" Q "BloodPressureDiastolic\" unit=\"mmHg\" value=\"80\" " AT
          "><MetadataEntry key=\"a\" value=\"b\"/></Record>"
          "<Record type=\"" Q "BloodPressureSystolic\" unit=\"mmHg\" value=\"120\" " AT
          "/></Correlation>",
          "blood_pressure" WHEN "{\"systolic\":120,\"diastolic\":80}\n" },
        { "<Correlation type=\"HKCorrelationTypeIdentifierBloodPressure\" " AT ">"
          "<Record type=\"" Q "BloodPressureSystolic\" unit=\"mmHg\" value=\"120\" " AT
          "/></Correlation>",
          "line 2 BloodPressure: blood pressure without its two values\n" },
        { "<Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" totalDistance=\"3.10686\" "
          "totalDistanceUnit=\"mi\" " TO "/>",
          "workout" LONG
          "{\"activity\":\"running\",\"duration\":10,\"distance\":5000.00649984}\n" },
        { "<Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" duration=\"12.5\" "
          "durationUnit=\"min\" " TO ">"
          "<WorkoutStatistics type=\"" Q "DistanceWalkingRunning\" sum=\"2.5\" unit=\"km\"/>"
          "<WorkoutStatistics type=\"" Q "ActiveEnergyBurned\" sum=\"418.4\" unit=\"kJ\"/>"
          "<WorkoutActivity><WorkoutStatistics type=\"" Q
          "DistanceWalkingRunning\" sum=\"1\" unit=\"km\"/></WorkoutActivity>"
          "<WorkoutRoute><FileReference path=\"/x.gpx\"/></WorkoutRoute></Workout>",
          "workout" LONG
          "{\"activity\":\"running\",\"duration\":12.5,\"distance\":2500,\"energy\":100}\n" },
        { "<ActivitySummary dateComponents=\"2024-07-01\" activeEnergyBurned=\"1\"/>", "" },
        { "<ClinicalRecord type=\"x\"/>", "" },
        { "<Record type=\"" Q "WalkingSpeed\" value=\"3\" " AT "/>", "" },
        { "<Record/>", "" },
        { "<Record type=\"" Q "HeartRate\" value=\"many\" " AT "/>",
          "line 2 HeartRate: value is not a number\n" },
        { "<Record type=\"" Q "HeartRate\" " AT "/>", "line 2 HeartRate: value is not a number\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"400\" " AT "/>",
          "line 2 HeartRate: value must be from 20 to 300 /min\n" },
        { "<Record type=\"" Q "BodyMass\" unit=\"parsec\" value=\"3\" " AT "/>",
          "line 2 BodyMass: unit is not known\n" },
        { "<Record type=\"" Q "BodyMass\" unit=\"mL\" value=\"3\" " AT "/>",
          "line 2 BodyMass: unit does not measure this\n" },
        { "<Record type=\"" Q
          "HeartRate\" value=\"72\" startDate=\"0000-00-00 00:00:00 +0000\" endDate=\"x\"/>",
          "line 2 HeartRate: startDate is not a time\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" startDate=\"0001-01-01 00:00:00 +0000\" "
          "endDate=\"2024-01-01 00:00:00 +0000\"/>",
          "line 2 HeartRate: startDate is before 1900\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" startDate=\"9999-01-01 00:00:00 +0000\" "
          "endDate=\"9999-01-01 00:00:00 +0000\"/>",
          "line 2 HeartRate: endDate is in the future\n" },
        { "<Record type=\"" Q "HeartRate\" value=\"72\" startDate=\"2024-01-02 00:00:00 +0000\" "
          "endDate=\"2024-01-01 00:00:00 +0000\"/>",
          "line 2 HeartRate: endDate is before startDate\n" },
        { "<Record type=\"" C "SleepAnalysis\" value=\"x\" " TO "/>",
          "line 2 SleepAnalysis: value is no known stage of sleep\n" },
        { "<Record type=\"" Q "HeartRate value=\"72\" " AT "/>\n",
          "line 2 (unreadable): the tag cannot be read\n" },
        /* what is not closed is closed by what comes next */
        { "<Record type=\"" Q "HeartRate\" value=\"71\" " AT "><Record type=\"" Q
          "HeartRate\" value=\"72\" " AT "/>",
          "heart_rate" WHEN "{\"value\":71,\"unit\":\"/min\"}\nheart_rate" WHEN
          "{\"value\":72,\"unit\":\"/min\"}\n" },
};

static void test_mapping(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(mapped); i++) {
                CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
                CM_CLEANUP(cm_buf_deinit) struct cm_buf out = { 0 };

                cm_buf_add(&out, "", 0);
                assert_int_equal(read_elements(mapped[i].elements, batch), 0);
                assert_true(batch->last);
                render_events(batch, &out);
                if (strcmp(out.data, mapped[i].expected) != 0)
                        fail_msg("%s\ngives\n%sexpected\n%s", mapped[i].elements, out.data,
                                 mapped[i].expected);
                assert_int_equal(batch->progress.records,
                                 batch->progress.understood + batch->progress.without_fact +
                                         batch->progress.not_understood + batch->progress.rejected);
        }
}

static struct cm_uuid id_of(const char *record)
{
        CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();

        assert_int_equal(read_elements(record, batch), 0);
        assert_int_equal(batch->event_count, 1);
        return batch->events[0].id;
}

#define HR(value, source, time)                                                                    \
        "<Record type=\"" Q "HeartRate\" value=\"" value "\" sourceName=\"" source "\" " time "/>"

static void test_ids(void **state CM_UNUSED)
{
        static const char *const others[] = {
                HR("73", "Watch", AT),
                HR("72", "Phone", AT),
                HR("72", "Watch", TO),
                "<Record type=\"" Q "RestingHeartRate\" value=\"72\" sourceName=\"Watch\" " AT "/>",
        };
        /* the same instant, exported in another zone, with other attributes beside */
        const char *again =
                "<Record creationDate=\"x\" device=\"y\" type=\"" Q
                "HeartRate\" value=\"72\" sourceName=\"Watch\" "
                "startDate=\"2024-07-01 15:00:00 +0900\" endDate=\"2024-07-01 15:00:00 +0900\"/>";
        struct cm_uuid id = id_of(HR("72", "Watch", AT)), other = id_of(again);
        char text[CM_UUID_TEXT_SIZE];

        assert_true(cm_uuid_equal(&id, &other));
        for (size_t i = 0; i < CM_COUNT(others); i++) {
                other = id_of(others[i]);
                assert_false(cm_uuid_equal(&id, &other));
        }
        cm_uuid_format(&id, text);
        assert_int_equal(text[14], '8');
        assert_memory_equal(text, "01906ce0-f300", 13); /* 2024-07-01T06:00:00Z in milliseconds */
}

/* ---- where the document is, and where it is not */

struct entry {
        const char *name;
        const char *text;
};

static void make_zip(struct file *file, const struct entry *entries, size_t count,
                     const char *password)
{
        zip_t *archive;
        int error;

        file_write(file, "", 0);
        archive = zip_open(file->path, ZIP_CREATE | ZIP_TRUNCATE, &error);
        assert_non_null(archive);
        for (size_t i = 0; i < count; i++) {
                zip_source_t *source =
                        zip_source_buffer(archive, entries[i].text, strlen(entries[i].text), 0);
                zip_int64_t index =
                        zip_file_add(archive, entries[i].name, source, ZIP_FL_ENC_UTF_8);

                assert_true(index >= 0);
                if (password)
                        assert_int_equal(zip_file_set_encryption(archive, (zip_uint64_t)index,
                                                                 ZIP_EM_AES_256, password),
                                         0);
        }
        assert_int_equal(zip_close(archive), 0);
}

#define DOCUMENT "<?xml version=\"1.0\"?><HealthData>" HR("72", "Watch", AT) "</HealthData>"
#define CDA      "<?xml version=\"1.0\"?><ClinicalDocument/>"

static const struct {
        struct entry entries[4];
        size_t count;
        int expected;
} archives[] = {
        { { { "export.xml", DOCUMENT } }, 1, 0 },
        { { { "apple_health_export/export_cda.xml", CDA },
            { "apple_health_export/Export.xml", DOCUMENT } },
          2,
          0 },
        { { { "apple_health_export/exportaci\xc3\xb3n.xml", DOCUMENT }, { "a/b.xml", CDA } },
          2,
          0 },
        { { { "apple_health_export/\xd7\x99\xd7\x99\xd7\xa6\xd7\x95\xd7\x90.xml", DOCUMENT } },
          1,
          0 },
        { { { "a/b/c/Exportieren.xml", DOCUMENT }, { "readme.txt", "x" } }, 2, 0 },
        { { { "../../../etc/export.xml", DOCUMENT } }, 1, 0 }, /* a name is never a path */
        { { { "export_cda.xml", DOCUMENT } }, 1, SOURCE_NOT_APPLE },
        { { { "export.xml", CDA } }, 1, SOURCE_NOT_APPLE },
        { { { "notes.txt", DOCUMENT } }, 1, SOURCE_NOT_APPLE },
        { { { "export.xml", "<a><HealthData/></a>" } }, 1, SOURCE_NOT_APPLE },
        { { { "export.xml", "<HealthData><Record" } }, 1, IMPORT_TRUNCATED },
};

static int read_file(const struct file *file, const struct import_limits *limits,
                     struct import_batch *batch)
{
        CM_CLEANUP(import_reader_close) struct import_reader *reader = NULL;
        struct import_reader_config config = config_of(file);
        int r;

        if (limits)
                config.limits = *limits;
        r = import_reader_open(&config, &reader);
        while (r == 0) {
                r = import_reader_fill(reader, batch);
                if (batch->last)
                        break;
        }
        return r;
}

static void test_archives(void **state CM_UNUSED)
{
        for (size_t i = 0; i < CM_COUNT(archives); i++) {
                CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
                CM_CLEANUP(file_remove) struct file file;

                make_zip(&file, archives[i].entries, archives[i].count, NULL);
                if (read_file(&file, NULL, batch) != archives[i].expected)
                        fail_msg("%s", archives[i].entries[0].name);
                if (archives[i].expected == 0)
                        assert_int_equal(batch->event_count, 1);
        }
}

static void test_encrypted(void **state CM_UNUSED)
{
        static const struct entry entry = { "export.xml", DOCUMENT };
        CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
        CM_CLEANUP(file_remove) struct file file;

        make_zip(&file, &entry, 1, "secret");
        assert_int_equal(read_file(&file, NULL, batch), SOURCE_ENCRYPTED);
}

static void test_other_files(void **state CM_UNUSED)
{
        static const struct {
                struct cm_str text;
                int expected;
        } files[] = {
                { CM_STR(""), SOURCE_NOT_APPLE },
                { CM_STR("PK"), SOURCE_NOT_APPLE },
                { CM_STR("PK\x03\x04 and nothing that follows it"), SOURCE_BROKEN },
                { CM_STR("{\"json\": true}"), SOURCE_NOT_APPLE },
                { CM_STR("\xff\xfe<\0H\0e\0a\0l\0t\0h\0"), SOURCE_NOT_APPLE },
                { CM_STR("<!DOCTYPE HealthData []><x><HealthData/></x>"), SOURCE_NOT_APPLE },
                { CM_STR("<HealthData></HealthData>"), 0 },
                { CM_STR("\xef\xbb\xbf<HealthData/>"), 0 },
        };

        for (size_t i = 0; i < CM_COUNT(files); i++) {
                CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
                CM_CLEANUP(file_remove) struct file file;

                file_write(&file, files[i].text.data, files[i].text.len);
                if (read_file(&file, NULL, batch) != files[i].expected)
                        fail_msg("file %zu", i);
        }
}

/* Every way to cut an archive short is broken, or no archive; none crashes. */
static void test_cut_archive(void **state CM_UNUSED)
{
        static const struct entry entry = { "export.xml", DOCUMENT };
        CM_CLEANUP(file_remove) struct file whole;
        char bytes[4096];
        size_t len;
        FILE *in;

        make_zip(&whole, &entry, 1, NULL);
        in = fopen(whole.path, "rb");
        assert_non_null(in);
        len = fread(bytes, 1, sizeof(bytes), in);
        fclose(in);
        for (size_t cut = 0; cut < len; cut++) {
                CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
                CM_CLEANUP(file_remove) struct file file;
                int r;

                file_write(&file, bytes, cut);
                r = read_file(&file, NULL, batch);
                assert_int_equal(r, cut < 4 ? SOURCE_NOT_APPLE : SOURCE_BROKEN);
        }
}

static char *bomb_document(size_t size)
{
        char *text = cm_alloc(size + 1);

        memset(text, ' ', size);
        memcpy(text, "<HealthData>", 12);
        return text;
}

static void test_bombs(void **state CM_UNUSED)
{
        const size_t size = 8 << 20;
        char *text = bomb_document(size);
        const struct entry many[] = { { "a.xml", DOCUMENT }, { "b.xml", "x" }, { "c.xml", "x" } };
        const struct import_limits few = { .max_entries = 2 }, small = { .max_unpacked = 1 << 20 },
                                   loose = { .max_ratio = 5000 };
        CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
        CM_CLEANUP(file_remove) struct file bomb;
        CM_CLEANUP(file_remove) struct file crowd;

        make_zip(&bomb, &(struct entry){ "export.xml", text }, 1, NULL);
        make_zip(&crowd, many, CM_COUNT(many), NULL);
        cm_free(text);
        assert_int_equal(read_file(&bomb, NULL, batch), SOURCE_TOO_LARGE);
        assert_int_equal(read_file(&bomb, &small, batch), SOURCE_TOO_LARGE);
        assert_int_equal(read_file(&bomb, &loose, batch), IMPORT_TRUNCATED);
        assert_int_equal(read_file(&crowd, &few, batch), SOURCE_TOO_LARGE);
        assert_int_equal(read_file(&crowd, NULL, batch), 0);
}

/* ---- resuming */

/* Reads on from each place where a batch ended: the rest is the same, and the counts add up. */
static void test_resume(void **state CM_UNUSED)
{
        enum { RECORDS = 3 * IMPORT_BATCH_EVENTS };
        CM_CLEANUP(cm_buf_deinit) struct cm_buf text = { 0 };
        CM_CLEANUP(batch_free) struct import_batch *batch = batch_new();
        CM_CLEANUP(batch_free) struct import_batch *again = batch_new();
        CM_CLEANUP(file_remove) struct file file;
        CM_CLEANUP(import_reader_close) struct import_reader *reader = NULL;
        struct import_reader_config config;

        cm_buf_add_str(&text, CM_STR("<HealthData>\n"));
        for (int i = 0; i < RECORDS; i++) {
                cm_buf_printf(&text, " <Record type=\"" Q "StepCount\" value=\"%d\" " TO "%s\n", i,
                              i % 3 ? "/>" : "><MetadataEntry key=\"a\" value=\"b\"/></Record>");
                if (i % 100 == 0)
                        cm_buf_add_str(&text, CM_STR(" <Odd/>\n <Record type=\"" Q
                                                     "HeartRate\" value=\"x\" " AT "/>\n"));
        }
        cm_buf_add_str(&text, CM_STR("</HealthData>\n"));
        file_write(&file, text.data, text.len);

        config = config_of(&file);
        assert_int_equal(import_reader_open(&config, &reader), 0);
        assert_int_equal(import_reader_size(reader), text.len);
        do {
                CM_CLEANUP(import_reader_close) struct import_reader *second = NULL;
                CM_CLEANUP(cm_buf_deinit) struct cm_buf first_text = { 0 }, second_text = { 0 };
                struct cm_arena arena = { 0 };
                struct import_summary summary;
                struct cm_faults faults = { 0 };
                struct import_reader_config rest = config;

                assert_int_equal(import_reader_fill(reader, batch), 0);
                cm_arena_init(&arena, 4096);
                assert_int_equal(cm_schema_decode(&import_summary_schema,
                                                  cm_buf_str(&batch->summary), &arena, &summary,
                                                  &faults),
                                 0);
                rest.from = batch->progress;
                rest.summary = &summary;
                if (!batch->last) {
                        assert_int_equal(import_reader_open(&rest, &second), 0);
                        assert_int_equal(import_reader_fill(second, again), 0);
                        assert_int_equal(import_reader_fill(reader, batch), 0);
                        render_events(batch, &first_text);
                        render_events(again, &second_text);
                        assert_string_equal(first_text.data, second_text.data);
                        assert_memory_equal(&batch->progress, &again->progress,
                                            sizeof(batch->progress));
                        assert_string_equal(batch->summary.data, again->summary.data);
                }
                cm_arena_deinit(&arena);
        } while (!batch->last);
        assert_int_equal(batch->progress.understood, RECORDS);
        assert_int_equal(batch->progress.not_understood, RECORDS / 100 + 1);
        assert_int_equal(batch->progress.rejected, RECORDS / 100 + 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mapping),     cmocka_unit_test(test_ids),
                cmocka_unit_test(test_archives),    cmocka_unit_test(test_encrypted),
                cmocka_unit_test(test_other_files), cmocka_unit_test(test_cut_archive),
                cmocka_unit_test(test_bombs),       cmocka_unit_test(test_resume),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
