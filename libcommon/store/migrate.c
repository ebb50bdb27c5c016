#include "store/migrate.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "codec/digest.h"
#include "sys/log.h"

/*
 * A migration that was applied is history: its text may not change, because then two databases with
 * the same version would differ. The digest shows it. A database that is ahead of the program
 * belongs to a newer release, whose tables this one does not know: it is left alone.
 */
#define HEX_SIZE (2 * CM_SHA256_SIZE + 1)

static const char create_table[] =
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " version int PRIMARY KEY, name text NOT NULL, digest text NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now());"
        "GRANT SELECT ON schema_migrations TO PUBLIC";
static const char table_exists[] = "SELECT to_regclass('schema_migrations') IS NOT NULL";
static const char applied_rows[] = "SELECT version, digest, to_char(applied_at AT TIME ZONE 'UTC',"
                                   " 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                                   " FROM schema_migrations ORDER BY version";
static const char lock[] = "SELECT pg_advisory_lock(hashtextextended('schema_migrations', 0))";

const char *cm_schema_state_name(int state)
{
        static const char *const names[] = { "", "current", "behind", "too new", "altered" };

        return state > 0 && state < (int)CM_COUNT(names) ? names[state] : "unknown";
}

static void digest_of(const struct cm_migration *migration, char hex_r[HEX_SIZE])
{
        uint8_t digest[CM_SHA256_SIZE];

        cm_sha256(migration->up, strlen(migration->up), digest);
        cm_hex_encode(digest, sizeof(digest), hex_r);
}

/* One applied version, in order, against what the program knows. */
static int check_row(const struct cm_migrations *migrations, int64_t version, struct cm_str digest)
{
        char hex[HEX_SIZE];

        if (version < 1 || version > (int64_t)migrations->count)
                return CM_SCHEMA_TOO_NEW;
        digest_of(&migrations->items[version - 1], hex);
        return cm_str_equal(digest, cm_str_from(hex)) ? CM_SCHEMA_CURRENT : CM_SCHEMA_ALTERED;
}

/* ---- commands, over a blocking connection */

static void finish(PGconn **db)
{
        PQfinish(*db);
        *db = NULL;
}

static void clear(PGresult **result)
{
        PQclear(*result);
        *result = NULL;
}

static void log_failure(const PGconn *db, const char *what)
{
        cm_log(CM_LOG_ERROR, "migration failed", CM_F_TEXT("step", what),
               CM_F_TEXT("reason", PQerrorMessage(db)));
}

static int run(PGconn *db, const char *what, const char *sql)
{
        CM_CLEANUP(clear) PGresult *result = PQexec(db, sql);
        ExecStatusType status = PQresultStatus(result);

        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
                return 0;
        log_failure(db, what);
        return PQstatus(db) == CONNECTION_OK ? -CM_E_DATABASE : -CM_E_UNAVAILABLE;
}

static int query(PGconn *db, const char *sql, PGresult **result_r)
{
        *result_r = PQexec(db, sql);
        if (PQresultStatus(*result_r) == PGRES_TUPLES_OK)
                return 0;
        log_failure(db, "reading schema_migrations");
        return -CM_E_DATABASE;
}

static void drop_notice(void *arg CM_UNUSED, const char *message CM_UNUSED)
{
}

static int open_database(const char *conninfo, PGconn **db_r)
{
        *db_r = PQconnectdb(conninfo ? conninfo : "");
        if (PQstatus(*db_r) != CONNECTION_OK) {
                cm_log(CM_LOG_ERROR, "database is not reachable",
                       CM_F_TEXT("reason", PQerrorMessage(*db_r)));
                return -CM_E_UNAVAILABLE;
        }
        (void)PQsetNoticeProcessor(*db_r, drop_notice, NULL);
        return 0;
}

/* The state, and through `rows_r` (may be NULL) what was applied. */
static int read_state(PGconn *db, const struct cm_migrations *migrations, PGresult **rows_r)
{
        CM_CLEANUP(clear) PGresult *rows = NULL;
        int r = query(db, applied_rows, &rows);
        int count = r ? 0 : PQntuples(rows);

        for (int i = 0; i < count; i++) {
                r = check_row(migrations, i + 1, cm_str_from(PQgetvalue(rows, i, 1)));
                if (r != CM_SCHEMA_CURRENT)
                        break;
                r = 0;
        }
        if (r < 0)
                return r;
        if (rows_r) {
                *rows_r = rows;
                rows = NULL;
        }
        if (r == 0)
                r = count < (int)migrations->count ? CM_SCHEMA_BEHIND : CM_SCHEMA_CURRENT;
        return r;
}

/* Connects, takes the lock and looks. A state that may be worked on, one that may not, or an error.
 */
static int begin_work(const char *conninfo, const struct cm_migrations *migrations, PGconn **db_r,
                      int *applied_r)
{
        CM_CLEANUP(clear) PGresult *rows = NULL;
        int r = open_database(conninfo, db_r);

        if (!r)
                r = run(*db_r, "taking the lock", lock);
        if (!r)
                r = run(*db_r, "creating schema_migrations", create_table);
        if (!r)
                r = read_state(*db_r, migrations, &rows);
        if (r < 0)
                return r;
        *applied_r = PQntuples(rows);
        if (r == CM_SCHEMA_TOO_NEW || r == CM_SCHEMA_ALTERED)
                cm_log(CM_LOG_ERROR, "schema was left alone",
                       CM_F_TEXT("state", cm_schema_state_name(r)),
                       CM_F_INT("known", (int64_t)migrations->count));
        return r;
}

static int record(PGconn *db, const struct cm_migration *migration)
{
        char version[16], hex[HEX_SIZE];
        const char *values[] = { version, migration->name, hex };
        CM_CLEANUP(clear) PGresult *result = NULL;

        (void)snprintf(version, sizeof(version), "%d", migration->version);
        digest_of(migration, hex);
        result = PQexecParams(db,
                              "INSERT INTO schema_migrations (version, name, digest)"
                              " VALUES ($1::int, $2, $3)",
                              3, NULL, values, NULL, NULL, 0);
        if (PQresultStatus(result) == PGRES_COMMAND_OK)
                return 0;
        log_failure(db, migration->name);
        return -CM_E_DATABASE;
}

static int forget(PGconn *db, const struct cm_migration *migration)
{
        char sql[80];

        (void)snprintf(sql, sizeof(sql), "DELETE FROM schema_migrations WHERE version = %d",
                       migration->version);
        return run(db, migration->name, sql);
}

static int step(PGconn *db, const struct cm_migration *migration, const char *sql,
                int (*note)(PGconn *db, const struct cm_migration *migration), const char *done)
{
        int64_t start = cm_monotonic_us();
        int r = run(db, migration->name, "BEGIN");

        if (!r)
                r = run(db, migration->name, sql);
        if (!r)
                r = note(db, migration);
        if (!r)
                r = run(db, migration->name, "COMMIT");
        if (r) /* the end of the connection would roll back as well */
                return r;
        cm_log(CM_LOG_INFO, done, CM_F_INT("version", migration->version),
               CM_F_TEXT("name", migration->name),
               CM_F_INT("duration_ms", (cm_monotonic_us() - start) / CM_MILLISECOND));
        return 0;
}

int cm_migrate_up(const char *conninfo, const struct cm_migrations *migrations)
{
        CM_CLEANUP(finish) PGconn *db = NULL;
        int applied = 0;
        int r = begin_work(conninfo, migrations, &db, &applied);

        if (r != CM_SCHEMA_BEHIND)
                return r == CM_SCHEMA_CURRENT ? 0 : r;
        for (size_t i = (size_t)applied; i < migrations->count; i++) {
                const struct cm_migration *migration = &migrations->items[i];

                r = step(db, migration, migration->up, record, "migration applied");
                if (r)
                        return r;
        }
        return 0;
}

int cm_migrate_down(const char *conninfo, const struct cm_migrations *migrations, int steps)
{
        CM_CLEANUP(finish) PGconn *db = NULL;
        int applied = 0;
        int r = begin_work(conninfo, migrations, &db, &applied);

        if (r != CM_SCHEMA_BEHIND && r != CM_SCHEMA_CURRENT)
                return r;
        for (; steps > 0 && applied > 0; steps--, applied--) {
                const struct cm_migration *migration = &migrations->items[applied - 1];

                r = step(db, migration, migration->down, forget, "migration taken back");
                if (r)
                        return r;
        }
        return 0;
}

static void print_status(const struct cm_migrations *migrations, const PGresult *rows)
{
        int applied = rows ? PQntuples(rows) : 0;

        for (int i = 0; i < (int)migrations->count; i++)
                printf("%04d  %-32s %s\n", migrations->items[i].version, migrations->items[i].name,
                       i < applied ? PQgetvalue(rows, i, 2) : "not applied");
        for (int i = (int)migrations->count; i < applied; i++)
                printf("%04d  %-32s %s\n", i + 1, "(unknown to this program)",
                       PQgetvalue(rows, i, 2));
}

int cm_migrate_status(const char *conninfo, const struct cm_migrations *migrations)
{
        CM_CLEANUP(finish) PGconn *db = NULL;
        CM_CLEANUP(clear) PGresult *exists = NULL;
        CM_CLEANUP(clear) PGresult *rows = NULL;
        int r = open_database(conninfo, &db);

        if (!r)
                r = query(db, table_exists, &exists);
        if (r)
                return r;
        r = CM_SCHEMA_BEHIND;
        if (strcmp(PQgetvalue(exists, 0, 0), "t") == 0)
                r = read_state(db, migrations, &rows);
        if (r < 0)
                return r;
        print_status(migrations, rows);
        printf("schema: %s\n", cm_schema_state_name(r));
        return r;
}

/* ---- the daemon's own look */

static const struct cm_pg_statement exists_statement = { .name = "migrations_exist",
                                                         .sql = table_exists };
static const struct cm_pg_statement applied_statement = {
        .name = "migrations_applied",
        .sql = "SELECT version, digest FROM schema_migrations ORDER BY version",
};

int cm_migrate_check(struct cm_pg *pg, const struct cm_migrations *migrations)
{
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result exists = { 0 };
        CM_CLEANUP(cm_pg_result_clear) struct cm_pg_result rows = { 0 };
        int r = cm_pg_query(pg, NULL, &exists_statement, NULL, &exists);

        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        if (!cm_pg_bool(&exists, 0, 0))
                return migrations->count ? CM_SCHEMA_BEHIND : CM_SCHEMA_CURRENT;
        r = cm_pg_query(pg, NULL, &applied_statement, NULL, &rows);
        if (r)
                return r > 0 ? -CM_E_DATABASE : r;
        for (int i = 0; i < rows.rows; i++) {
                r = check_row(migrations, cm_pg_int(&rows, i, 0), cm_pg_text(&rows, i, 1));
                if (r != CM_SCHEMA_CURRENT)
                        return r;
        }
        return rows.rows < (int)migrations->count ? CM_SCHEMA_BEHIND : CM_SCHEMA_CURRENT;
}
