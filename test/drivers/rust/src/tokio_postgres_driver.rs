//! tokio-postgres through every case: `tokio_postgres_driver URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
use std::error::Error as StdError;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, future, stream};
use rust_decimal::Decimal;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use time::macros::{date, datetime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

type Outcome = Result<Value, Box<dyn StdError>>;

struct Driver {
    config: Config,
    tls_config: Config,
    ca_file: String,
    case: String,
    /// What moves the bytes of each connection; it ends some time after the client has gone.
    connections: Mutex<Vec<JoinHandle<()>>>,
}

/// A connection, and what the server sends unasked.
struct Session {
    client: Client,
    messages: UnboundedReceiver<AsyncMessage>,
}

impl Driver {
    async fn connect(&self) -> Result<Session, Error> {
        self.connect_with(&self.config, NoTls).await
    }

    async fn connect_with<T>(&self, config: &Config, tls: T) -> Result<Session, Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let mut config = config.clone();
        config.application_name(format!("tokio-postgres/{}", self.case));
        let (client, mut connection) = config.connect(tls).await?;
        let (sender, messages) = unbounded_channel();
        let moving = tokio::spawn(async move {
            let mut incoming = pin!(stream::poll_fn(move |context| connection.poll_message(context)));
            while let Ok(Some(message)) = incoming.try_next().await {
                let _ = sender.send(message);
            }
        });
        self.connections.lock().unwrap().push(moving);
        Ok(Session { client, messages })
    }

    async fn run(&self) -> Outcome {
        match self.case.as_str() {
            "connect" => self.connects().await,
            "tls" => self.tls().await,
            "prepared" => self.prepared().await,
            "pipeline" => self.pipeline().await,
            "pipelineError" => self.pipeline_error().await,
            "copy" => self.copy().await,
            "copyBinary" => self.copy_binary().await,
            "transaction" => self.transaction().await,
            "error" => self.error().await,
            "cancel" => self.cancel().await,
            "largeObject" => self.large_object().await,
            "listen" => self.listen().await,
            "cursor" => self.cursor().await,
            "types" => self.types().await,
            unknown => Err(format!("no case is called {unknown}").into()),
        }
    }

    async fn connects(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let row = client.query_one("SELECT current_user::text, 1", &[]).await?;
        let (user, one): (String, i32) = (row.get(0), row.get(1));
        let mut wrong = self.config.clone();
        wrong.password("not the password");
        let refused = self.connect_with(&wrong, NoTls).await.err();
        Ok(json!({ "user": user, "one": one.to_string(), "wrongPassword": sql_state(refused) }))
    }

    async fn tls(&self) -> Outcome {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(&self.ca_file)? {
            roots.add(certificate?)?;
        }
        let rustls_config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut config = self.tls_config.clone();
        config.ssl_mode(SslMode::Require);
        let session = self.connect_with(&config, MakeRustlsConnect::new(rustls_config)).await?;
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let version: String = session.client.query_one(sql, &[]).await?.get(0);
        Ok(json!({ "version": version }))
    }

    async fn prepared(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let statement = client.prepare("SELECT $1::int + 1").await?;
        let mut rows = Vec::new();
        for i in 1..=3i32 {
            rows.push(client.query_one(&statement, &[&i]).await?.get::<_, i32>(0).to_string());
        }
        Ok(json!({ "rows": rows }))
    }

    /// Futures polled together are pipelined.
    async fn pipeline(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let insert = client.prepare("INSERT INTO pipelined VALUES ($1)").await?;
        let numbers: Vec<i32> = (0..20).collect();
        future::try_join_all(numbers.iter().map(|i| client.execute_raw(&insert, [i]))).await?;
        let row = client.query_one("SELECT count(*), sum(i) FROM pipelined", &[]).await?;
        let (count, sum): (i64, i64) = (row.get(0), row.get(1));
        Ok(json!({ "count": count.to_string(), "sum": sum.to_string() }))
    }

    async fn pipeline_error(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let insert = client.prepare("INSERT INTO pipeline_failed VALUES ($1)").await?;
        let done = future::join_all([1, 1, 2].iter().map(|i| client.execute_raw(&insert, [i]))).await;
        let failed = done.into_iter().find_map(Result::err);
        let survivors = texts(&client, "SELECT i::text FROM pipeline_failed ORDER BY i").await?;
        Ok(json!({ "sqlState": sql_state(failed), "survivors": survivors }))
    }

    async fn copy(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let copy_in = async |rows: &'static str| -> Result<u64, Error> {
            let mut sink = pin!(client.copy_in("COPY copied FROM STDIN").await?);
            sink.send(Bytes::from_static(rows.as_bytes())).await?;
            sink.finish().await
        };
        copy_in("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n").await?;
        let chunks = client.copy_out("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT").await?;
        let out: Vec<Bytes> = chunks.try_collect().await?;
        let failed = copy_in("four\tvier\n").await.err();
        Ok(json!({ "out": String::from_utf8(out.concat())?, "failed": sql_state(failed) }))
    }

    async fn copy_binary(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let sink = client.copy_in("COPY copied_binary FROM STDIN (FORMAT binary)").await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]));
        for (i, text) in [(1i32, Some("eins")), (2, Some("zwei ✓")), (3, None)] {
            writer.as_mut().write(&[&i, &text]).await?;
        }
        writer.finish().await?;
        let rows = texts(&client, "SELECT concat_ws(':', i, t) FROM copied_binary ORDER BY i").await?;
        Ok(json!({ "rows": rows }))
    }

    async fn transaction(&self) -> Outcome {
        let Session { mut client, .. } = self.connect().await?;
        let insert = "INSERT INTO accounts VALUES ($1)";
        let mut transaction = client.transaction().await?;
        transaction.execute(insert, &[&1]).await?;
        let savepoint = transaction.savepoint("before_two").await?;
        let inside = savepoint.execute(insert, &[&1]).await.err();
        savepoint.rollback().await?;
        transaction.execute(insert, &[&2]).await?;
        transaction.commit().await?;
        let transaction = client.transaction().await?;
        transaction.execute(insert, &[&3]).await?;
        transaction.rollback().await?;
        let rows = texts(&client, "SELECT i::text FROM accounts ORDER BY i").await?;
        Ok(json!({ "inside": sql_state(inside), "rows": rows }))
    }

    async fn error(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let unique = client.execute("INSERT INTO taken VALUES ($1)", &[&1]).await.err();
        let syntax = client.execute("SELEC 1", &[]).await.err();
        let after = texts(&client, "SELECT '1'").await?;
        Ok(json!({ "unique": sql_state(unique), "syntax": sql_state(syntax), "after": after }))
    }

    async fn cancel(&self) -> Outcome {
        let Session { client, mut messages } = self.connect().await?;
        let token = client.cancel_token();
        let sleep = client.batch_execute("DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$");
        let cancel = async {
            while !matches!(messages.recv().await, Some(AsyncMessage::Notice(_)) | None) {}
            token.cancel_query(NoTls).await
        };
        let (slept, cancelled) = future::join(sleep, cancel).await;
        cancelled?;
        let after = texts(&client, "SELECT '1'").await?;
        Ok(json!({ "sqlState": sql_state(slept.err()), "after": after }))
    }

    async fn large_object(&self) -> Outcome {
        let Session { mut client, .. } = self.connect().await?;
        let bytes: Vec<u8> = (0..20_000u32).map(|i| (i * 7 + i / 256) as u8).collect();
        let (first, second) = bytes.split_at(10_000);
        let transaction = client.transaction().await?;
        let oid: u32 = transaction.query_one("SELECT lo_from_bytea(0, $1)", &[&first]).await?.get(0);
        transaction.execute("SELECT lo_put($1, 10000, $2)", &[&oid, &second]).await?;
        let read: Vec<u8> = transaction.query_one("SELECT lo_get($1)", &[&oid]).await?.get(0);
        let md5: String = transaction.query_one("SELECT md5(lo_get($1))", &[&oid]).await?.get(0);
        transaction.execute("SELECT lo_unlink($1)", &[&oid]).await?;
        transaction.commit().await?;
        Ok(json!({ "md5": md5, "same": read == bytes }))
    }

    async fn listen(&self) -> Outcome {
        let mut listener = self.connect().await?;
        listener.client.batch_execute("LISTEN news").await?;
        let notifier = self.connect().await?;
        notifier.client.execute("SELECT pg_notify('news', $1)", &[&"grüße"]).await?;
        loop {
            match listener.messages.recv().await {
                Some(AsyncMessage::Notification(news)) => {
                    return Ok(json!({ "channel": news.channel(), "payload": news.payload() }));
                }
                Some(_) => {}
                None => return Err("the connection ended before the notification".into()),
            }
        }
    }

    async fn cursor(&self) -> Outcome {
        let Session { mut client, .. } = self.connect().await?;
        let transaction = client.transaction().await?;
        let portal = transaction.bind("SELECT i FROM generate_series(1, 10) AS i", &[]).await?;
        let mut rows: Vec<i32> = Vec::new();
        loop {
            let page = transaction.query_portal(&portal, 4).await?;
            rows.extend(page.iter().map(|row| row.get::<_, i32>(0)));
            if page.len() < 4 {
                break;
            }
        }
        transaction.commit().await?;
        let sum: i32 = rows.iter().sum();
        Ok(json!({ "rows": rows.len().to_string(), "sum": sum.to_string() }))
    }

    async fn types(&self) -> Outcome {
        let Session { client, .. } = self.connect().await?;
        let ip: IpAddr = "192.168.0.1".parse()?;
        let uuid: Uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11".parse()?;
        let numeric: Decimal = "1234567890123456.0123456789".parse()?;
        let values: [&(dyn ToSql + Sync); 21] = [
            &i16::MIN,
            &i32::MAX,
            &i64::MIN,
            &numeric,
            &1.5f32,
            &f64::NAN,
            &f64::NEG_INFINITY,
            &"grüße, 世界 🐘",
            &&b"\x00\xff\x10'\\"[..],
            &true,
            &date!(2024 - 02 - 29),
            &datetime!(2024-02-29 12:34:56.789012),
            &datetime!(2024-02-29 12:34:56.789012 UTC),
            &"1 mon 2 days 03:04:05.678", // There is no type for intervals.
            &uuid,
            &json!({ "a": [1, 2] }),
            &json!({ "a": [1, 2], "ü": null }),
            &vec![Some(1i32), None, Some(3)],
            &vec![Some("a,b"), Some("c\"d"), None],
            &None::<&str>,
            &ip,
        ];
        let places: Vec<String> = (1..=values.len())
            .map(|i| if i == 14 { "$14::text::interval".to_owned() } else { format!("${i}") })
            .collect();
        client.execute(&format!("INSERT INTO every_type VALUES ({})", places.join(", ")), &values).await?;
        let row = client.query_one("SELECT * FROM every_type", &[]).await?;
        let same = [
            row.get::<_, i16>("i2") == i16::MIN,
            row.get::<_, i32>("i4") == i32::MAX,
            row.get::<_, i64>("i8") == i64::MIN,
            row.get::<_, Decimal>("num") == numeric,
            row.get::<_, f32>("f4") == 1.5,
            row.get::<_, f64>("f8").is_nan(),
            row.get::<_, f64>("inf") == f64::NEG_INFINITY,
            row.get::<_, &str>("txt") == "grüße, 世界 🐘",
            row.get::<_, &[u8]>("bin") == b"\x00\xff\x10'\\",
            row.get::<_, bool>("yes"),
            row.get::<_, time::Date>("d") == date!(2024 - 02 - 29),
            row.get::<_, time::PrimitiveDateTime>("ts") == datetime!(2024-02-29 12:34:56.789012),
            row.get::<_, time::OffsetDateTime>("tz") == datetime!(2024-02-29 12:34:56.789012 UTC),
            row.get::<_, Uuid>("u") == uuid,
            row.get::<_, Value>("j") == json!({ "a": [1, 2] }),
            row.get::<_, Value>("jb") == json!({ "a": [1, 2], "ü": null }),
            row.get::<_, Vec<Option<i32>>>("ints") == [Some(1), None, Some(3)],
            row.get::<_, Vec<Option<&str>>>("texts") == [Some("a,b"), Some("c\"d"), None],
            row.get::<_, Option<&str>>("nothing").is_none(),
            row.get::<_, IpAddr>("ip") == ip,
        ];
        let stored = texts(&client, "SELECT stored FROM every_type_as_text").await?;
        Ok(json!({ "stored": stored, "same": same.iter().all(|&same| same) }))
    }
}

/// The first column of every row.
async fn texts(client: &Client, sql: &str) -> Result<Vec<String>, Error> {
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

fn sql_state(error: Option<Error>) -> String {
    match error.as_ref().map(|error| (error, error.code())) {
        Some((_, Some(code))) => code.code().to_owned(),
        Some((error, None)) => error.to_string(),
        None => "no error".to_owned(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, tls_url, ca_file, cases @ ..] = arguments.as_slice() else {
        return Err("usage: tokio_postgres_driver URL TLS_URL CA_FILE CASE…".into());
    };
    for case in cases {
        let driver = Driver {
            config: url.parse()?,
            tls_config: tls_url.parse()?,
            ca_file: ca_file.clone(),
            case: case.clone(),
            connections: Mutex::default(),
        };
        let line = match driver.run().await {
            Ok(outcome) => json!({ "case": case, "outcome": outcome }),
            Err(error) => json!({ "case": case, "error": error.to_string() }),
        };
        println!("{line}");
        // Dropped statements are still to be closed.
        for connection in driver.connections.into_inner()? {
            connection.await?;
        }
    }
    Ok(())
}
