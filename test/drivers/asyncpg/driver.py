"""asyncpg through every case: `driver.py URL TLS_URL CA_FILE CASE…` prints one JSON line per case."""

import asyncio
import io
import json
import math
import ssl
import sys
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import asyncpg

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
        self.settings = {"application_name": f"asyncpg/{name}"}

    @asynccontextmanager
    async def connect(self, **options):
        connection = await asyncpg.connect(self.url, server_settings=self.settings, **options)
        try:
            yield connection
        finally:
            await connection.close()


async def texts(connection, sql):
    """The first column of every row."""
    return [row[0] for row in await connection.fetch(sql)]


async def sql_state(work):
    """Awaits `work` and tells the SQLSTATE it fails with."""
    try:
        await work
    except asyncpg.PostgresError as error:
        return error.sqlstate
    return "no error"


@case("connect")
async def connect(driver):
    async with driver.connect() as connection:
        user, one = await connection.fetchrow("SELECT current_user::text, 1")
    refused = asyncpg.connect(driver.url, server_settings=driver.settings, password="not the password")
    return {"user": user, "one": str(one), "wrongPassword": await sql_state(refused)}


@case("tls")
async def tls(driver):
    context = ssl.create_default_context(cafile=driver.ca_file)
    connection = await asyncpg.connect(driver.tls_url, server_settings=driver.settings, ssl=context)
    version = await connection.fetchval("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    await connection.close()
    return {"version": version}


@case("prepared")
async def prepared(driver):
    async with driver.connect() as connection:
        statement = await connection.prepare("SELECT $1::int + 1")
        rows = [str(await statement.fetchval(i)) for i in range(1, 4)]
    return {"rows": rows}


@case("pipeline")
async def pipeline(driver):
    async with driver.connect() as connection:
        await connection.executemany("INSERT INTO pipelined VALUES ($1)", [(i,) for i in range(20)])
        count, total = await connection.fetchrow("SELECT count(*), sum(i) FROM pipelined")
    return {"count": str(count), "sum": str(total)}


@case("pipelineError")
async def pipeline_error(driver):
    async with driver.connect() as connection:
        inserts = connection.executemany("INSERT INTO pipeline_failed VALUES ($1)", [(1,), (1,), (2,)])
        failed = await sql_state(inserts)
        survivors = await texts(connection, "SELECT i::text FROM pipeline_failed ORDER BY i")
    return {"sqlState": failed, "survivors": survivors}


@case("copy")
async def copy(driver):
    async with driver.connect() as connection:

        def copy_in(rows):
            return connection.copy_to_table("copied", source=io.BytesIO(rows.encode()))

        await copy_in("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n")
        out = io.BytesIO()
        await connection.copy_from_query("SELECT * FROM copied ORDER BY i", output=out)
        failed = await sql_state(copy_in("four\tvier\n"))
    return {"out": out.getvalue().decode(), "failed": failed}


@case("copyBinary")
async def copy_binary(driver):
    async with driver.connect() as connection:
        await connection.copy_records_to_table("copied_binary", records=[(1, "eins"), (2, "zwei ✓"), (3, None)])
        rows = await texts(connection, "SELECT concat_ws(':', i, t) FROM copied_binary ORDER BY i")
    return {"rows": rows}


@case("transaction")
async def transaction(driver):
    insert = "INSERT INTO accounts VALUES ($1)"
    async with driver.connect() as connection:
        async with connection.transaction():
            await connection.execute(insert, 1)

            async def insert_again():
                async with connection.transaction():  # in a transaction: a savepoint
                    await connection.execute(insert, 1)

            inside = await sql_state(insert_again())
            await connection.execute(insert, 2)
        undone = connection.transaction()
        await undone.start()
        await connection.execute(insert, 3)
        await undone.rollback()
        rows = await texts(connection, "SELECT i::text FROM accounts ORDER BY i")
    return {"inside": inside, "rows": rows}


@case("error")
async def error(driver):
    async with driver.connect() as connection:
        unique = await sql_state(connection.execute("INSERT INTO taken VALUES ($1)", 1))
        syntax = await sql_state(connection.fetch("SELEC $1", 1))
        after = await texts(connection, "SELECT '1'")
    return {"unique": unique, "syntax": syntax, "after": after}


@case("cancel")
async def cancel(driver):
    """A cancelled task sends a cancel request; what the server says to it is not shown."""
    async with driver.connect() as connection:
        asleep = asyncio.Event()
        connection.add_log_listener(lambda _connection, _message: asleep.set())
        sleep = "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$"
        sleeper = asyncio.create_task(connection.execute(sleep))
        await asleep.wait()
        sleeper.cancel()
        try:
            slept = await sql_state(sleeper)
        except asyncio.CancelledError:
            slept = "CancelledError"
        after = await texts(connection, "SELECT '1'")
    return {"sqlState": slept, "after": after}


@case("largeObject")
async def large_object(driver):
    content = bytes((i * 7 + i // 256) % 256 for i in range(20_000))
    async with driver.connect() as connection, connection.transaction():
        oid = await connection.fetchval("SELECT lo_from_bytea(0, $1)", content[:10_000])
        await connection.execute("SELECT lo_put($1, 10000, $2)", oid, content[10_000:])
        read, md5 = await connection.fetchrow("SELECT lo_get($1), md5(lo_get($1))", oid)
        await connection.execute("SELECT lo_unlink($1)", oid)
    return {"md5": md5, "same": read == content}


@case("listen")
async def listen(driver):
    async with driver.connect() as listener, driver.connect() as notifier:
        heard = asyncio.get_running_loop().create_future()
        await listener.add_listener("news", lambda _connection, _pid, channel, payload: heard.set_result((channel, payload)))
        await notifier.execute("SELECT pg_notify('news', $1)", "grüße")
        channel, payload = await heard
    return {"channel": channel, "payload": payload}


@case("cursor")
async def cursor(driver):
    async with driver.connect() as connection, connection.transaction():
        ten = connection.cursor("SELECT i FROM generate_series(1, 10) AS i", prefetch=4)
        rows = [row[0] async for row in ten]
    return {"rows": str(len(rows)), "sum": str(sum(rows))}


@case("types")
async def types(driver):
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
        {"a": [1, 2]},
        {"a": [1, 2], "ü": None},
        [1, None, 3],
        ["a,b", 'c"d', None],
        None,
        ip_address("192.168.0.1"),
    ]
    places = [f"${i}" if i != 14 else "$14::text::interval" for i in range(1, len(sent) + 1)]
    async with driver.connect() as connection:
        for json_type in ("json", "jsonb"):
            await connection.set_type_codec(json_type, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
        await connection.execute(f"INSERT INTO every_type VALUES ({', '.join(places)})", *sent)
        read = list(await connection.fetchrow("SELECT * FROM every_type"))
        stored = await texts(connection, "SELECT stored FROM every_type_as_text")
    sent[13] = timedelta(days=32, hours=3, minutes=4, seconds=5.678)  # read as 30 days a month
    same = math.isnan(read[5]) and read[:5] + read[6:] == sent[:5] + sent[6:]
    return {"stored": stored, "same": same}


async def main():
    url, tls_url, ca_file, *names = sys.argv[1:]
    for name in names:
        try:
            line = {"case": name, "outcome": await CASES[name](Driver(url, tls_url, ca_file, name))}
        except Exception as failure:
            line = {"case": name, "error": f"{type(failure).__name__}: {failure}"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
