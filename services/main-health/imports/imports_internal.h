#pragma once
#include "http/tus.h"
#include "import_jobs.h"
#include "imports.h"
#include "sys/work.h"

/* Shared by imports.c (what a worker has), import_routes.c and import_uploads.c (the routes). */
struct imports {
        struct cm_pg *pg;
        struct cm_work_lane *reading; /* of the job */
        struct cm_work_lane *files;   /* of uploads */
        struct cm_tus *tus;
        struct import_jobs *jobs;
        const char *folder;
        struct cm_uuid folder_id;
        char prefix[64]; /* of the paths of uploads */
};
