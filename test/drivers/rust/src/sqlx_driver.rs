//! sqlx through every case it has: `sqlx_driver URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
//!
//! sqlx has no cancel request, no encoder for binary COPY and no row limit for a portal.
use std::error::Error as StdError;
use std::str::FromStr;

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::postgres::types::{Oid, PgInterval};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions, PgSslMode};
use sqlx::types::ipnetwork::IpNetwork;
use sqlx::types::{Decimal, Json, Uuid};
use sqlx::{ConnectOptions, Connection, Error, Row};
use time::macros::{date, datetime};

type Outcome = Result<Value, Box<dyn StdError>>;

struct Driver {
    options: PgConnectOptions,
    tls_options: PgConnectOptions,
}

impl Driver {
    fn new(url: &str, tls_url: &str, ca_file: &str, case: &str) -> Result<Self, Error> {
        let name = format!("sqlx/{case}");
        let tls_options = PgConnectOptions::from_str(tls_url)?.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca_file);
        Ok(Self {
            options: PgConnectOptions::from_str(url)?.application_name(&name),
            tls_options: tls_options.application_name(&name),
        })
    }

    async fn run(&self, case: &str) -> Outcome {
        match case {
            "connect" => self.connects().await,
            "tls" => self.tls().await,
            "prepared" => self.prepared().await,
            "pipeline" => self.pipeline().await,
            "pipelineError" => self.pipeline_error().await,
            "copy" => self.copy().await,
            "transaction" => self.transaction().await,
            "error" => self.error().await,
            "largeObject" => self.large_object().await,
            "listen" => self.listen().await,
            "types" => self.types().await,
            unknown => Err(format!("no case is called {unknown}").into()),
        }
    }

    async fn connects(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let (user, one): (String, i32) = sqlx::query_as("SELECT current_user::text, 1").fetch_one(&mut session).await?;
        session.close().await?;
        let refused = self.options.clone().password("not the password").connect().await.err();
        Ok(json!({ "user": user, "one": one.to_string(), "wrongPassword": sql_state(refused) }))
    }

    async fn tls(&self) -> Outcome {
        let mut session = self.tls_options.connect().await?;
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let version: String = sqlx::query_scalar(sql).fetch_one(&mut session).await?;
        session.close().await?;
        Ok(json!({ "version": version }))
    }

    /// Every query is a named statement of the connection's cache.
    async fn prepared(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let mut rows = Vec::new();
        for i in 1..=3i32 {
            let next: i32 = sqlx::query_scalar("SELECT $1::int + 1").bind(i).fetch_one(&mut session).await?;
            rows.push(next.to_string());
        }
        session.close().await?;
        Ok(json!({ "rows": rows }))
    }

    /// There is no pipeline; several statements go as one simple query.
    async fn pipeline(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let inserts: Vec<String> = (0..20).map(|i| format!("INSERT INTO pipelined VALUES ({i})")).collect();
        sqlx::raw_sql(sqlx::AssertSqlSafe(inserts.join("; "))).execute(&mut session).await?;
        let (count, sum): (i64, i64) =
            sqlx::query_as("SELECT count(*), sum(i) FROM pipelined").fetch_one(&mut session).await?;
        session.close().await?;
        Ok(json!({ "count": count.to_string(), "sum": sum.to_string() }))
    }

    async fn pipeline_error(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let inserts = "INSERT INTO pipeline_failed VALUES (1); INSERT INTO pipeline_failed VALUES (1); \
                       INSERT INTO pipeline_failed VALUES (2)";
        let failed = sqlx::raw_sql(inserts).execute(&mut session).await.err();
        let survivors = texts(&mut session, "SELECT i::text FROM pipeline_failed ORDER BY i").await?;
        session.close().await?;
        Ok(json!({ "sqlState": sql_state(failed), "survivors": survivors }))
    }

    async fn copy(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        copy_in(&mut session, "1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n").await?;
        let chunks = session.copy_out_raw("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT").await?;
        let out: Vec<_> = chunks.try_collect().await?;
        let failed = copy_in(&mut session, "four\tvier\n").await.err();
        session.close().await?;
        Ok(json!({ "out": String::from_utf8(out.concat())?, "failed": sql_state(failed) }))
    }

    async fn transaction(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let mut transaction = session.begin().await?;
        insert_account(&mut transaction, 1).await?;
        let mut savepoint = transaction.begin().await?;
        let inside = insert_account(&mut savepoint, 1).await.err();
        savepoint.rollback().await?;
        insert_account(&mut transaction, 2).await?;
        transaction.commit().await?;
        let mut transaction = session.begin().await?;
        insert_account(&mut transaction, 3).await?;
        transaction.rollback().await?;
        let rows = texts(&mut session, "SELECT i::text FROM accounts ORDER BY i").await?;
        session.close().await?;
        Ok(json!({ "inside": sql_state(inside), "rows": rows }))
    }

    async fn error(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let unique = sqlx::query("INSERT INTO taken VALUES ($1)").bind(1).execute(&mut session).await.err();
        let syntax = sqlx::query("SELEC 1").execute(&mut session).await.err();
        let after = texts(&mut session, "SELECT '1'").await?;
        session.close().await?;
        Ok(json!({ "unique": sql_state(unique), "syntax": sql_state(syntax), "after": after }))
    }

    async fn large_object(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        let (first, second) = bytes.split_at(10_000);
        let mut transaction = session.begin().await?;
        let connection: &mut PgConnection = &mut transaction;
        let create = sqlx::query_scalar("SELECT lo_from_bytea(0, $1)");
        let oid: Oid = create.bind(first).fetch_one(&mut *connection).await?;
        sqlx::query("SELECT lo_put($1, 10000, $2)").bind(oid).bind(second).execute(&mut *connection).await?;
        let read: Vec<u8> = sqlx::query_scalar("SELECT lo_get($1)").bind(oid).fetch_one(&mut *connection).await?;
        let md5: String = sqlx::query_scalar("SELECT md5(lo_get($1))").bind(oid).fetch_one(&mut *connection).await?;
        sqlx::query("SELECT lo_unlink($1)").bind(oid).execute(&mut *connection).await?;
        transaction.commit().await?;
        session.close().await?;
        Ok(json!({ "md5": md5, "same": read == bytes }))
    }

    async fn listen(&self) -> Outcome {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen("news").await?;
        let mut notifier = self.options.connect().await?;
        sqlx::query("SELECT pg_notify('news', $1)").bind("grüße").execute(&mut notifier).await?;
        notifier.close().await?;
        let news = listener.recv().await?;
        let outcome = json!({ "channel": news.channel(), "payload": news.payload() });
        let closed = pool.close(); // first: a connection that comes back to an open pool may be tried once more
        drop(listener);
        closed.await;
        Ok(outcome)
    }

    async fn types(&self) -> Outcome {
        let mut session = self.options.connect().await?;
        let numeric: Decimal = "1234567890123456.0123456789".parse()?;
        let uuid: Uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".parse()?;
        let ip: IpNetwork = "192.168.0.1/32".parse()?;
        let interval = PgInterval { months: 1, days: 2, microseconds: 11_045_678_000 };
        let ints = [Some(1i32), None, Some(3)];
        let words = [Some("a,b"), Some("c\"d"), None];
        let places: Vec<String> = (1..=21).map(|i| format!("${i}")).collect();
        let insert = format!("INSERT INTO every_type VALUES ({})", places.join(", "));
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(i16::MIN)
            .bind(i32::MAX)
            .bind(i64::MIN)
            .bind(numeric)
            .bind(1.5f32)
            .bind(f64::NAN)
            .bind(f64::NEG_INFINITY)
            .bind("grüße, 世界 🐘")
            .bind(&b"\x00\xff\x10'\\"[..])
            .bind(true)
            .bind(date!(2024 - 02 - 29))
            .bind(datetime!(2024-02-29 12:34:56.789012))
            .bind(datetime!(2024-02-29 12:34:56.789012 UTC))
            .bind(interval.clone())
            .bind(uuid)
            .bind(Json(json!({ "a": [1, 2] })))
            .bind(Json(json!({ "a": [1, 2], "ü": null })))
            .bind(&ints[..])
            .bind(&words[..])
            .bind(None::<&str>)
            .bind(ip)
            .execute(&mut session)
            .await?;
        let row = sqlx::query("SELECT * FROM every_type").fetch_one(&mut session).await?;
        let same = [
            row.try_get::<i16, _>("i2")? == i16::MIN,
            row.try_get::<i32, _>("i4")? == i32::MAX,
            row.try_get::<i64, _>("i8")? == i64::MIN,
            row.try_get::<Decimal, _>("num")? == numeric,
            row.try_get::<f32, _>("f4")? == 1.5,
            row.try_get::<f64, _>("f8")?.is_nan(),
            row.try_get::<f64, _>("inf")? == f64::NEG_INFINITY,
            row.try_get::<&str, _>("txt")? == "grüße, 世界 🐘",
            row.try_get::<&[u8], _>("bin")? == b"\x00\xff\x10'\\",
            row.try_get::<bool, _>("yes")?,
            row.try_get::<time::Date, _>("d")? == date!(2024 - 02 - 29),
            row.try_get::<time::PrimitiveDateTime, _>("ts")? == datetime!(2024-02-29 12:34:56.789012),
            row.try_get::<time::OffsetDateTime, _>("tz")? == datetime!(2024-02-29 12:34:56.789012 UTC),
            row.try_get::<PgInterval, _>("iv")? == interval,
            row.try_get::<Uuid, _>("u")? == uuid,
            row.try_get::<Value, _>("j")? == json!({ "a": [1, 2] }),
            row.try_get::<Value, _>("jb")? == json!({ "a": [1, 2], "ü": null }),
            row.try_get::<Vec<Option<i32>>, _>("ints")? == ints,
            row.try_get::<Vec<Option<String>>, _>("texts")? == words.map(|word| word.map(str::to_owned)),
            row.try_get::<Option<String>, _>("nothing")?.is_none(),
            row.try_get::<IpNetwork, _>("ip")? == ip,
        ];
        let stored = texts(&mut session, "SELECT stored FROM every_type_as_text").await?;
        session.close().await?;
        Ok(json!({ "stored": stored, "same": same.iter().all(|&same| same) }))
    }
}

/// The first column of every row.
async fn texts(session: &mut PgConnection, sql: &'static str) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(sql).fetch_all(session).await
}

async fn insert_account(session: &mut PgConnection, i: i32) -> Result<(), Error> {
    sqlx::query("INSERT INTO accounts VALUES ($1)").bind(i).execute(session).await.map(drop)
}

async fn copy_in(session: &mut PgConnection, rows: &'static str) -> Result<u64, Error> {
    let mut copy = session.copy_in_raw("COPY copied FROM STDIN").await?;
    copy.send(rows.as_bytes()).await?;
    copy.finish().await
}

fn sql_state(error: Option<Error>) -> String {
    match error {
        Some(Error::Database(refusal)) => refusal.code().unwrap_or_default().into_owned(),
        Some(other) => other.to_string(),
        None => "no error".to_owned(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, tls_url, ca_file, cases @ ..] = arguments.as_slice() else {
        return Err("usage: sqlx_driver URL TLS_URL CA_FILE CASE…".into());
    };
    for case in cases {
        println!(
            "{}",
            match Driver::new(url, tls_url, ca_file, case)?.run(case).await {
                Ok(outcome) => json!({ "case": case, "outcome": outcome }),
                Err(error) => json!({ "case": case, "error": error.to_string() }),
            }
        );
    }
    Ok(())
}
