"""SQLAlchemy on psycopg 3 through every case: `driver.py URL TLS_URL CA_FILE CASE…` prints one JSON line per case.

COPY, cancel and notifications are the driver's beneath it, reached through the pooled connection.
"""

import json
import math
import sys
import threading
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, func, insert, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

CASES = {}


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    i: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


def numbers(name):
    return Table(name, MetaData(), Column("i", Integer, primary_key=True, autoincrement=False))


PIPELINED = numbers("pipelined")
PIPELINE_FAILED = numbers("pipeline_failed")
TAKEN = numbers("taken")


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
        self.application_name = f"sqlalchemy/{name}"

    def engine(self, url=None, **options):
        return create_engine(
            (url or self.url).replace("postgres://", "postgresql+psycopg://"),
            poolclass=NullPool,
            connect_args={"application_name": self.application_name, **options},
        )

    def connect(self, **options):
        """A connection on which each statement is a transaction of its own."""
        return self.engine(**options).connect().execution_options(isolation_level="AUTOCOMMIT")


def texts(connection, sql):
    """The first column of every row."""
    return list(connection.scalars(text(sql)))


def sql_state(work):
    """Calls `work` and tells the SQLSTATE it fails with."""
    try:
        work()
    except DBAPIError as error:
        return error.orig.sqlstate or str(error.orig)
    return "no error"


@case("connect")
def connect(driver):
    with driver.connect() as connection:
        user, one = connection.execute(text("SELECT current_user::text, 1")).one()
    refused = sql_state(driver.engine(password="not the password").connect)
    # libpq keeps no SQLSTATE of a refused session, only the message.
    wrong_password = "28P01" if "password authentication failed" in refused else refused
    return {"user": user, "one": str(one), "wrongPassword": wrong_password}


@case("tls")
def tls(driver):
    engine = driver.engine(driver.tls_url, sslmode="verify-full", sslrootcert=driver.ca_file)
    with engine.connect() as connection:
        version = connection.scalar(text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
    return {"version": version}


@case("prepared")
def prepared(driver):
    with driver.connect(prepare_threshold=0) as connection:
        rows = [str(connection.scalar(select(literal(i, Integer) + 1))) for i in range(1, 4)]
    return {"rows": rows}


@case("pipeline")
def pipeline(driver):
    with driver.connect() as connection:
        connection.execute(insert(PIPELINED), [{"i": i} for i in range(20)])
        count, total = connection.execute(select(func.count(), func.sum(PIPELINED.c.i))).one()
    return {"count": str(count), "sum": str(total)}


@case("pipelineError")
def pipeline_error(driver):
    with driver.connect() as connection:
        rows = [{"i": i} for i in (1, 1, 2)]
        failed = sql_state(lambda: connection.execute(insert(PIPELINE_FAILED), rows))
        survivors = texts(connection, "SELECT i::text FROM pipeline_failed ORDER BY i")
    return {"sqlState": failed, "survivors": survivors}


@case("copy")
def copy(driver):
    with driver.connect() as connection:
        beneath = connection.connection.driver_connection

        def copy_in(rows):
            with beneath.cursor().copy("COPY copied FROM STDIN") as incoming:
                incoming.write(rows)

        copy_in("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n")
        with beneath.cursor().copy("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT") as outgoing:
            out = b"".join(outgoing).decode()
        try:
            copy_in("four\tvier\n")
            failed = "no error"
        except beneath.Error as error:
            failed = error.sqlstate
    return {"out": out, "failed": failed}


@case("transaction")
def transaction(driver):
    engine = driver.engine()
    with Session(engine) as session:
        session.add(Account(i=1))
        session.flush()

        def insert_again():
            with session.begin_nested():
                session.execute(insert(Account), [{"i": 1}])

        inside = sql_state(insert_again)
        session.add(Account(i=2))
        session.commit()
        session.add(Account(i=3))
        session.flush()
        session.rollback()
        rows = [str(i) for i in session.scalars(select(Account.i).order_by(Account.i))]
    return {"inside": inside, "rows": rows}


@case("error")
def error(driver):
    with driver.connect() as connection:
        unique = sql_state(lambda: connection.execute(insert(TAKEN), {"i": 1}))
        syntax = sql_state(lambda: connection.execute(text("SELEC :i"), {"i": 1}))
        after = texts(connection, "SELECT '1'")
    return {"unique": unique, "syntax": syntax, "after": after}


@case("cancel")
def cancel(driver):
    with driver.connect() as connection:
        beneath = connection.connection.driver_connection
        asleep = threading.Event()
        beneath.add_notice_handler(lambda _notice: asleep.set())

        def cancel_sleeper():
            asleep.wait()
            beneath.cancel_safe()

        canceller = threading.Thread(target=cancel_sleeper)
        canceller.start()
        sleep = "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$"
        slept = sql_state(lambda: connection.execute(text(sleep)))
        canceller.join()
        after = texts(connection, "SELECT '1'")
    return {"sqlState": slept, "after": after}


@case("largeObject")
def large_object(driver):
    content = bytes((i * 7 + i // 256) % 256 for i in range(20_000))
    with driver.engine().begin() as connection:
        oid = connection.scalar(select(func.lo_from_bytea(0, content[:10_000])))
        connection.execute(select(func.lo_put(oid, 10_000, content[10_000:])))
        read, md5 = connection.execute(select(func.lo_get(oid), func.md5(func.lo_get(oid)))).one()
        connection.execute(select(func.lo_unlink(oid)))
    return {"md5": md5, "same": read == content}


@case("listen")
def listen(driver):
    with driver.connect() as listener, driver.connect() as notifier:
        listener.execute(text("LISTEN news"))
        notifier.execute(select(func.pg_notify("news", literal("grüße", String))))
        news = next(listener.connection.driver_connection.notifies())
    return {"channel": news.channel, "payload": news.payload}


@case("cursor")
def cursor(driver):
    with driver.engine().connect() as connection:
        ten = connection.execution_options(yield_per=4).execute(text("SELECT i FROM generate_series(1, 10) AS i"))
        rows = list(ten.scalars())
    return {"rows": str(len(rows)), "sum": str(sum(rows))}


@case("types")
def types(driver):
    moment = datetime(2024, 2, 29, 12, 34, 56, 789012)
    sent = {
        "i2": -32768,
        "i4": 2147483647,
        "i8": -9223372036854775808,
        "num": Decimal("1234567890123456.0123456789"),
        "f4": 1.5,
        "f8": math.nan,
        "inf": -math.inf,
        "txt": "grüße, 世界 🐘",
        "bin": b"\x00\xff\x10'\\",
        "yes": True,
        "d": date(2024, 2, 29),
        "ts": moment,
        "tz": moment.replace(tzinfo=timezone.utc),
        # There are no months in a timedelta.
        "iv": text("'1 mon 2 days 03:04:05.678'::interval"),
        "u": UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "j": {"a": [1, 2]},
        "jb": {"a": [1, 2], "ü": None},
        "ints": [1, None, 3],
        "texts": ["a,b", 'c"d', None],
        "nothing": None,
        "ip": ip_address("192.168.0.1"),
    }
    with driver.connect() as connection:
        every_type = Table("every_type", MetaData(), autoload_with=connection)
        connection.execute(insert(every_type).values(**sent))
        read = dict(connection.execute(select(every_type)).mappings().one())
        stored = texts(connection, "SELECT stored FROM every_type_as_text")
    sent["iv"] = timedelta(days=32, hours=3, minutes=4, seconds=5.678)  # read as 30 days a month
    same = math.isnan(read.pop("f8")) and math.isnan(sent.pop("f8")) and read == sent
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
