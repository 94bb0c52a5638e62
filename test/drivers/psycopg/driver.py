"""psycopg 3 through every case: `driver.py URL TLS_URL CA_FILE CASE…` prints one JSON line per case."""

import json
import math
import sys
import threading
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import psycopg
from psycopg.types.json import Json, Jsonb

CASES = {}


def case(name):
    def register(function):
        CASES[name] = function
        return function

    return register


class Driver:
    def __init__(self, url, tls_url, ca_file, name):
        self.url = url
        self.tls_url = tls_url
        self.ca_file = ca_file
        self.application_name = f"psycopg/{name}"

    def connect(self, **options):
        return psycopg.connect(self.url, autocommit=True, application_name=self.application_name, **options)


def texts(connection, sql):
    """The first column of every row."""
    return [row[0] for row in connection.execute(sql)]


def sql_state(work):
    """Calls `work` and tells the SQLSTATE it fails with."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate or str(error)
    return "no error"


@case("connect")
def connect(driver):
    with driver.connect() as connection:
        user, one = connection.execute("SELECT current_user::text, 1").fetchone()
    # libpq keeps no SQLSTATE of a refused session, only the message.
    try:
        driver.connect(password="not the password")
        wrong_password = "no error"
    except psycopg.OperationalError as error:
        wrong_password = "28P01" if "password authentication failed" in str(error) else str(error)
    return {"user": user, "one": str(one), "wrongPassword": wrong_password}


@case("tls")
def tls(driver):
    options = {"sslmode": "verify-full", "sslrootcert": driver.ca_file, "application_name": driver.application_name}
    with psycopg.connect(driver.tls_url, autocommit=True, **options) as connection:
        (version,) = connection.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    return {"version": version}


@case("prepared")
def prepared(driver):
    with driver.connect() as connection:
        rows = [
            str(connection.execute("SELECT %s::int + 1", [i], prepare=True).fetchone()[0]) for i in range(1, 4)
        ]
    return {"rows": rows}


@case("pipeline")
def pipeline(driver):
    with driver.connect() as connection:
        with connection.pipeline():
            for i in range(20):
                connection.execute("INSERT INTO pipelined VALUES (%s)", [i])
        count, total = connection.execute("SELECT count(*), sum(i) FROM pipelined").fetchone()
    return {"count": str(count), "sum": str(total)}


@case("pipelineError")
def pipeline_error(driver):
    with driver.connect() as connection:

        def insert():
            with connection.pipeline():
                for i in (1, 1, 2):
                    connection.execute("INSERT INTO pipeline_failed VALUES (%s)", [i])

        failed = sql_state(insert)
        survivors = texts(connection, "SELECT i::text FROM pipeline_failed ORDER BY i")
    return {"sqlState": failed, "survivors": survivors}


@case("copy")
def copy(driver):
    with driver.connect() as connection:

        def copy_in(rows):
            with connection.cursor().copy("COPY copied FROM STDIN") as incoming:
                incoming.write(rows)

        copy_in("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n")
        with connection.cursor().copy("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT") as outgoing:
            out = b"".join(outgoing).decode()
        failed = sql_state(lambda: copy_in("four\tvier\n"))
    return {"out": out, "failed": failed}


@case("copyBinary")
def copy_binary(driver):
    with driver.connect() as connection:
        with connection.cursor().copy("COPY copied_binary FROM STDIN (FORMAT binary)") as incoming:
            incoming.set_types(["int4", "text"])
            for row in [(1, "eins"), (2, "zwei ✓"), (3, None)]:
                incoming.write_row(row)
        rows = texts(connection, "SELECT concat_ws(':', i, t) FROM copied_binary ORDER BY i")
    return {"rows": rows}


@case("transaction")
def transaction(driver):
    insert = "INSERT INTO accounts VALUES (%s)"
    with driver.connect() as connection:
        with connection.transaction():
            connection.execute(insert, [1])

            def insert_again():
                with connection.transaction():  # in a transaction: a savepoint
                    connection.execute(insert, [1])

            inside = sql_state(insert_again)
            connection.execute(insert, [2])
        with connection.transaction():
            connection.execute(insert, [3])
            raise psycopg.Rollback()  # ends the block, rolled back, without an error
        rows = texts(connection, "SELECT i::text FROM accounts ORDER BY i")
    return {"inside": inside, "rows": rows}


@case("error")
def error(driver):
    with driver.connect() as connection:
        unique = sql_state(lambda: connection.execute("INSERT INTO taken VALUES (%s)", [1]))
        syntax = sql_state(lambda: connection.execute("SELEC %s", [1]))
        after = texts(connection, "SELECT '1'")
    return {"unique": unique, "syntax": syntax, "after": after}


@case("cancel")
def cancel(driver):
    with driver.connect() as connection:
        asleep = threading.Event()
        connection.add_notice_handler(lambda _notice: asleep.set())

        def cancel_sleeper():
            asleep.wait()
            connection.cancel_safe()

        canceller = threading.Thread(target=cancel_sleeper)
        canceller.start()
        sleep = "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$"
        slept = sql_state(lambda: connection.execute(sleep))
        canceller.join()
        after = texts(connection, "SELECT '1'")
    return {"sqlState": slept, "after": after}


@case("largeObject")
def large_object(driver):
    content = bytes((i * 7 + i // 256) % 256 for i in range(20_000))
    with driver.connect() as connection, connection.transaction():
        (oid,) = connection.execute("SELECT lo_from_bytea(0, %s)", [content[:10_000]]).fetchone()
        connection.execute("SELECT lo_put(%s, 10000, %s)", [oid, content[10_000:]])
        read, md5 = connection.execute("SELECT lo_get(%s), md5(lo_get(%s))", [oid, oid]).fetchone()
        connection.execute("SELECT lo_unlink(%s)", [oid])
    return {"md5": md5, "same": read == content}


@case("listen")
def listen(driver):
    with driver.connect() as listener, driver.connect() as notifier:
        listener.execute("LISTEN news")
        notifier.execute("SELECT pg_notify('news', %s)", ["grüße"])
        news = next(listener.notifies())
    return {"channel": news.channel, "payload": news.payload}


@case("cursor")
def cursor(driver):
    with driver.connect() as connection, connection.transaction():
        with connection.cursor("ten") as named:
            named.itersize = 4
            rows = [row[0] for row in named.execute("SELECT i FROM generate_series(1, 10) AS i")]
    return {"rows": str(len(rows)), "sum": str(sum(rows))}


@case("types")
def types(driver):
    moment = datetime(2024, 2, 29, 12, 34, 56, 789012)
    sent = [
        -32768,
        2147483647,
        -9223372036854775808,
        Decimal("1234567890123456.0123456789"),
        1.5,
        math.nan,
        -math.inf,
        "grüße, 世界 🐘",
        b"\x00\xff\x10'\\",
        True,
        date(2024, 2, 29),
        moment,
        moment.replace(tzinfo=timezone.utc),
        # There are no months in a timedelta.
        "1 mon 2 days 03:04:05.678",
        UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        Json({"a": [1, 2]}),
        Jsonb({"a": [1, 2], "ü": None}),
        [1, None, 3],
        ["a,b", 'c"d', None],
        None,
        ip_address("192.168.0.1"),
    ]
    with driver.connect() as connection:
        connection.execute(f"INSERT INTO every_type VALUES ({', '.join(['%s'] * len(sent))})", sent)
        read = list(connection.execute("SELECT * FROM every_type").fetchone())
        stored = texts(connection, "SELECT stored FROM every_type_as_text")
    expected = [value.obj if isinstance(value, (Json, Jsonb)) else value for value in sent]
    expected[13] = timedelta(days=32, hours=3, minutes=4, seconds=5.678)  # read as 30 days a month
    same = math.isnan(read[5]) and read[:5] + read[6:] == expected[:5] + expected[6:]
    return {"stored": stored, "same": same}


def main():
    url, tls_url, ca_file, *names = sys.argv[1:]
    for name in names:
        try:
            line = {"case": name, "outcome": CASES[name](Driver(url, tls_url, ca_file, name))}
        except Exception as failure:
            line = {"case": name, "error": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
