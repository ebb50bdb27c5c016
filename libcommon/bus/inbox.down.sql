DROP TABLE inbox_range;
DROP TABLE inbox_stream;
DROP TABLE inbox;
