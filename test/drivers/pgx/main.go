// pgx through every case: `pgx URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
//
// pgx reads a result row by row; it has no row limit for a portal.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
)

type outcome map[string]any

type driver struct {
	url, tlsURL, caFile, name string
}

type caseFunc func(driver, context.Context) (outcome, error)

var cases = map[string]caseFunc{
	"connect":       driver.connects,
	"tls":           driver.tls,
	"prepared":      driver.prepared,
	"pipeline":      driver.pipeline,
	"pipelineError": driver.pipelineError,
	"copy":          driver.copy,
	"copyBinary":    driver.copyBinary,
	"transaction":   driver.transaction,
	"error":         driver.error,
	"cancel":        driver.cancel,
	"largeObject":   driver.largeObject,
	"listen":        driver.listen,
	"types":         driver.types,
}

func (d driver) config(url string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "pgx/" + d.name
	return config, nil
}

func (d driver) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := d.config(d.url)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

func (d driver) connects(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var user string
	var one int
	if err := conn.QueryRow(ctx, "SELECT current_user::text, 1").Scan(&user, &one); err != nil {
		return nil, err
	}
	wrong := conn.Config()
	wrong.Password = "not the password"
	_, refused := pgx.ConnectConfig(ctx, wrong)
	return outcome{"user": user, "one": strconv.Itoa(one), "wrongPassword": sqlState(refused)}, nil
}

func (d driver) tls(ctx context.Context) (outcome, error) {
	config, err := d.config(d.tlsURL + "?sslmode=verify-full&sslrootcert=" + d.caFile)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var version string
	row := conn.QueryRow(ctx, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
	return outcome{"version": &version}, row.Scan(&version)
}

func (d driver) prepared(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Prepare(ctx, "plus_one", "SELECT $1::int + 1"); err != nil {
		return nil, err
	}
	rows := []string{}
	for i := 1; i <= 3; i++ {
		var next int
		if err := conn.QueryRow(ctx, "plus_one", i).Scan(&next); err != nil {
			return nil, err
		}
		rows = append(rows, strconv.Itoa(next))
	}
	return outcome{"rows": rows}, nil
}

func (d driver) pipeline(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	batch := &pgx.Batch{}
	for i := range 20 {
		batch.Queue("INSERT INTO pipelined VALUES ($1)", i)
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	var count, sum int
	row := conn.QueryRow(ctx, "SELECT count(*), sum(i) FROM pipelined")
	if err := row.Scan(&count, &sum); err != nil {
		return nil, err
	}
	return outcome{"count": strconv.Itoa(count), "sum": strconv.Itoa(sum)}, nil
}

func (d driver) pipelineError(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	batch := &pgx.Batch{}
	for _, i := range []int{1, 1, 2} {
		batch.Queue("INSERT INTO pipeline_failed VALUES ($1)", i)
	}
	failed := conn.SendBatch(ctx, batch).Close()
	survivors, err := texts(ctx, conn, "SELECT i::text FROM pipeline_failed ORDER BY i")
	return outcome{"sqlState": sqlState(failed), "survivors": survivors}, err
}

func (d driver) copy(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	copyIn := func(rows string) error {
		_, err := conn.PgConn().CopyFrom(ctx, strings.NewReader(rows), "COPY copied FROM STDIN")
		return err
	}
	if err := copyIn("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n"); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if _, err := conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM copied ORDER BY i) TO STDOUT"); err != nil {
		return nil, err
	}
	return outcome{"out": out.String(), "failed": sqlState(copyIn("four\tvier\n"))}, nil
}

func (d driver) copyBinary(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	source := pgx.CopyFromRows([][]any{{1, "eins"}, {2, "zwei ✓"}, {3, nil}})
	if _, err := conn.CopyFrom(ctx, pgx.Identifier{"copied_binary"}, []string{"i", "t"}, source); err != nil {
		return nil, err
	}
	rows, err := texts(ctx, conn, "SELECT concat_ws(':', i, t) FROM copied_binary ORDER BY i")
	return outcome{"rows": rows}, err
}

func (d driver) transaction(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	const insert = "INSERT INTO accounts VALUES ($1)"
	var inside error
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insert, 1); err != nil {
			return err
		}
		// A transaction in a transaction is a savepoint.
		inside = pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			_, err := savepoint.Exec(ctx, insert, 1)
			return err
		})
		_, err := tx.Exec(ctx, insert, 2)
		return err
	})
	if err != nil {
		return nil, err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, insert, 3); err != nil {
		return nil, err
	}
	if err := tx.Rollback(ctx); err != nil {
		return nil, err
	}
	rows, err := texts(ctx, conn, "SELECT i::text FROM accounts ORDER BY i")
	return outcome{"inside": sqlState(inside), "rows": rows}, err
}

func (d driver) error(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, unique := conn.Exec(ctx, "INSERT INTO taken VALUES ($1)", 1)
	_, syntax := conn.Exec(ctx, "SELEC $1", 1)
	after, err := texts(ctx, conn, "SELECT '1'")
	return outcome{"unique": sqlState(unique), "syntax": sqlState(syntax), "after": after}, err
}

// A cancelled context sends a cancel request, as the connection is told to.
func (d driver) cancel(ctx context.Context) (outcome, error) {
	config, err := d.config(d.url)
	if err != nil {
		return nil, err
	}
	sleeping, wake := context.WithCancel(ctx)
	defer wake()
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { wake() }
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Minute}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, slept := conn.Exec(sleeping, "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$")
	after, err := texts(ctx, conn, "SELECT '1'")
	return outcome{"sqlState": sqlState(slept), "after": after}, err
}

func (d driver) largeObject(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	content := make([]byte, 20_000)
	for i := range content {
		content[i] = byte(i*7 + i/256)
	}
	var md5 string
	var read []byte
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		objects := tx.LargeObjects()
		oid, err := objects.Create(ctx, 0)
		if err != nil {
			return err
		}
		object, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
		if err != nil {
			return err
		}
		for _, half := range [][]byte{content[:10_000], content[10_000:]} {
			if _, err := object.Write(half); err != nil {
				return err
			}
		}
		if _, err := object.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if read, err = io.ReadAll(object); err != nil {
			return err
		}
		if err := object.Close(); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "SELECT md5(lo_get($1))", oid).Scan(&md5); err != nil {
			return err
		}
		return objects.Unlink(ctx, oid)
	})
	return outcome{"md5": md5, "same": bytes.Equal(read, content)}, err
}

func (d driver) listen(ctx context.Context) (outcome, error) {
	listener, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer listener.Close(ctx)
	if _, err := listener.Exec(ctx, "LISTEN news"); err != nil {
		return nil, err
	}
	notifier, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer notifier.Close(ctx)
	if _, err := notifier.Exec(ctx, "SELECT pg_notify('news', $1)", "grüße"); err != nil {
		return nil, err
	}
	news, err := listener.WaitForNotification(ctx)
	if err != nil {
		return nil, err
	}
	return outcome{"channel": news.Channel, "payload": news.Payload}, nil
}

// One row of every_type, as Go has it.
type everyType struct {
	I2      int16
	I4      int32
	I8      int64
	Num     pgtype.Numeric
	F4      float32
	F8      float64
	Inf     float64
	Txt     string
	Bin     []byte
	Yes     bool
	D       time.Time
	Ts      time.Time
	Tz      time.Time
	Iv      pgtype.Interval
	U       [16]byte
	J       map[string]any
	Jb      map[string]any
	Ints    []*int32
	Texts   []*string
	Nothing *string
	IP      netip.Addr
}

func (d driver) types(ctx context.Context) (outcome, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	digits, _ := new(big.Int).SetString("12345678901234560123456789", 10)
	moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	one, three, comma, quote := int32(1), int32(3), "a,b", `c"d`
	sent := everyType{
		math.MinInt16, math.MaxInt32, math.MinInt64,
		pgtype.Numeric{Int: digits, Exp: -10, Valid: true},
		1.5, math.NaN(), math.Inf(-1),
		"grüße, 世界 🐘", []byte("\x00\xff\x10'\\"), true,
		time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), moment, moment,
		pgtype.Interval{Months: 1, Days: 2, Microseconds: 11_045_678_000, Valid: true},
		[16]byte{0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11},
		map[string]any{"a": []any{1.0, 2.0}}, map[string]any{"a": []any{1.0, 2.0}, "ü": nil},
		[]*int32{&one, nil, &three}, []*string{&comma, &quote, nil}, nil,
		netip.MustParseAddr("192.168.0.1"),
	}
	fields := reflect.ValueOf(sent)
	values, places := make([]any, fields.NumField()), make([]string, fields.NumField())
	for i := range values {
		values[i], places[i] = fields.Field(i).Interface(), fmt.Sprintf("$%d", i+1)
	}
	insert := "INSERT INTO every_type VALUES (" + strings.Join(places, ", ") + ")"
	if _, err := conn.Exec(ctx, insert, values...); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, "SELECT * FROM every_type")
	if err != nil {
		return nil, err
	}
	read, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[everyType])
	if err != nil {
		return nil, err
	}
	same := math.IsNaN(read.F8) && read.Tz.Equal(sent.Tz)
	read.F8, sent.F8, read.Tz, sent.Tz = 0, 0, time.Time{}, time.Time{} // NaN is not itself; a moment has many time zones.
	same = same && reflect.DeepEqual(read, sent)
	stored, err := texts(ctx, conn, "SELECT stored FROM every_type_as_text")
	return outcome{"stored": stored, "same": same}, err
}

// texts returns the first column of every row.
func texts(ctx context.Context, conn *pgx.Conn, sql string) ([]string, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func sqlState(err error) string {
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		return "no error"
	case errors.As(err, &refusal):
		return refusal.Code
	default:
		return err.Error()
	}
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: pgx URL TLS_URL CA_FILE CASE…")
		os.Exit(2)
	}
	lines := json.NewEncoder(os.Stdout)
	for _, name := range os.Args[4:] {
		run, known := cases[name]
		if !known {
			run = func(driver, context.Context) (outcome, error) { return nil, errors.New("no case is called " + name) }
		}
		line := map[string]any{"case": name}
		if result, err := run(driver{os.Args[1], os.Args[2], os.Args[3], name}, context.Background()); err != nil {
			line["error"] = err.Error()
		} else {
			line["outcome"] = result
		}
		if err := lines.Encode(line); err != nil {
			panic(err)
		}
	}
}
