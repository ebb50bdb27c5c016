DROP TABLE import_queue;
DROP TABLE import_findings;
DROP TABLE imports;
