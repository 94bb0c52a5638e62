-- What the drivers' cases work on: made anew for each run of a driver.
CREATE TABLE pipelined (i int PRIMARY KEY);
CREATE TABLE pipeline_failed (i int PRIMARY KEY);
CREATE TABLE copied (i int, t text);
CREATE TABLE copied_binary (i int, t text);
CREATE TABLE accounts (i int PRIMARY KEY);
CREATE TABLE taken (i int PRIMARY KEY);
INSERT INTO taken VALUES (1);
CREATE TABLE every_type (
  i2 int2, i4 int4, i8 int8, num numeric, f4 float4, f8 float8, inf float8, txt text, bin bytea, yes bool, d date,
  ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, ints int4[], texts text[], nothing text, ip inet
);
-- The server's own text of what a driver stored, one row per column.
CREATE VIEW every_type_as_text AS
SELECT name || '=' || coalesce(value, 'NULL') AS stored
FROM every_type, LATERAL (VALUES
  (1, 'i2', i2::text), (2, 'i4', i4::text), (3, 'i8', i8::text), (4, 'num', num::text), (5, 'f4', f4::text),
  (6, 'f8', f8::text), (7, 'inf', inf::text), (8, 'txt', txt), (9, 'bin', encode(bin, 'hex')), (10, 'yes', yes::text),
  (11, 'd', d::text), (12, 'ts', ts::text), (13, 'tz', (tz AT TIME ZONE 'UTC')::text), (14, 'iv', iv::text),
  (15, 'u', u::text), (16, 'j', j::jsonb::text), (17, 'jb', jb::text), (18, 'ints', ints::text), (19, 'texts', texts::text),
  (20, 'nothing', nothing), (21, 'ip', ip::text)
) AS columns (place, name, value)
ORDER BY place;
