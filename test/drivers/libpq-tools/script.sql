-- What psql can do beyond sending a query, one thing after another. Run with --quiet, so that no OID is printed.
\pset format unaligned
\pset footer off
CREATE TABLE notes (id int PRIMARY KEY, note text);
\copy notes from program 'printf "1\teins\n2\tgr\303\274\303\237e\n"'
\copy (SELECT * FROM notes ORDER BY id) to stdout
COPY notes FROM STDIN;
3	drei
\.
\copy notes from program 'printf "four\tvier\n"'
-- One simple query with several statements, and one of which the last fails.
SELECT 1 AS one\; SELECT 2 AS two\; SELECT 3 AS three;
INSERT INTO notes VALUES (4, 'undone')\; SELECT 1 / 0;
-- A result becomes variables, and a result becomes statements.
SELECT max(id) AS last, 'it''s' AS quoted FROM notes \gset
SELECT :last + 1 AS next, :'quoted' AS quoted;
SELECT format('SELECT %s AS generated', id) FROM notes ORDER BY id LIMIT 2 \gexec
-- The extended protocol: unnamed, named, in a pipeline.
SELECT $1::int * 2 AS doubled \bind 21 \g
SELECT note FROM notes WHERE id = $1 \parse by_id
\bind_named by_id 1 \g
\bind_named by_id 2 \g
\close_prepared by_id
\startpipeline
INSERT INTO notes VALUES ($1, $2) \bind 5 fünf \sendpipeline
INSERT INTO notes VALUES ($1, $2) \bind 6 sechs \sendpipeline
\syncpipeline
INSERT INTO notes VALUES ($1, $2) \bind 6 again \sendpipeline
SELECT $1 AS skipped \bind 1 \sendpipeline
\endpipeline
-- Errors, with savepoints of psql's own.
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO notes VALUES (7, 'sieben');
SELEC 1;
INSERT INTO notes VALUES (8, 'acht');
COMMIT;
\set ON_ERROR_ROLLBACK off
-- Rows fetched in chunks.
\set FETCH_COUNT 3
SELECT id, note FROM notes ORDER BY id;
\unset FETCH_COUNT
-- A large object goes by function calls.
\lo_import :file
SELECT md5(lo_get(:LASTOID)) AS md5, length(lo_get(:LASTOID)) AS length;
\lo_unlink :LASTOID
LISTEN news;
NOTIFY news, 'heard';
SELECT count(*) FROM notes;
