-- A database with something of most kinds that pg_dump knows.
CREATE SCHEMA shop;
CREATE TYPE shop.state AS ENUM ('open', 'paid', 'sent');
CREATE DOMAIN shop.amount AS numeric(12, 2) CHECK (VALUE >= 0);
CREATE TABLE shop.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  picture bytea,
  traits jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE shop.orders (
  id serial PRIMARY KEY,
  customer bigint NOT NULL REFERENCES shop.customers ON DELETE CASCADE,
  state shop.state NOT NULL DEFAULT 'open',
  total shop.amount NOT NULL,
  placed timestamptz NOT NULL
);
CREATE INDEX orders_by_state ON shop.orders (state) WHERE state <> 'sent';
CREATE TABLE shop.events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_2024 PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE VIEW shop.open_orders AS SELECT * FROM shop.orders WHERE state = 'open';
CREATE FUNCTION shop.shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.what := upper(NEW.what);
  RETURN NEW;
END
$$;
CREATE TRIGGER shout BEFORE INSERT ON shop.events_2024 FOR EACH ROW EXECUTE FUNCTION shop.shout();
INSERT INTO shop.customers (name, picture, traits)
SELECT 'Grüße ' || i, decode(md5(i::text), 'hex'), jsonb_build_object('n', i, 'tab', E'\t') FROM generate_series(1, 2000) AS i;
INSERT INTO shop.orders (customer, state, total, placed)
SELECT 1 + i % 2000, (enum_range(NULL::shop.state))[1 + i % 3], i / 7.0, '2024-02-29 12:00+00'::timestamptz + i * interval '1 minute'
FROM generate_series(1, 6000) AS i;
INSERT INTO shop.events SELECT '2024-01-01'::date + i, 'event ' || i FROM generate_series(0, 99) AS i;
SELECT lo_from_bytea(4711, decode(repeat('00ff', 20000), 'hex'));
COMMENT ON TABLE shop.orders IS 'what ''they'' bought';
