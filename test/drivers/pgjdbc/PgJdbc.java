// pgjdbc through every case it has: `PgJdbc URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
//
// There is no encoder for binary COPY.
import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.net.URI;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;

public final class PgJdbc {
  private interface Work {
    void run() throws Exception;
  }

  private final String url;
  private final String tlsUrl;
  private final String caFile;
  private final String name;

  private PgJdbc(String url, String tlsUrl, String caFile, String name) {
    this.url = url;
    this.tlsUrl = tlsUrl;
    this.caFile = caFile;
    this.name = name;
  }

  public static void main(String[] arguments) {
    for (String name : List.of(arguments).subList(3, arguments.length)) {
      Map<String, Object> line = new LinkedHashMap<>();
      line.put("case", name);
      try {
        line.put("outcome", new PgJdbc(arguments[0], arguments[1], arguments[2], name).run());
      } catch (Exception failure) {
        line.put("error", failure.toString());
      }
      System.out.println(json(line));
    }
  }

  private Map<String, Object> run() throws Exception {
    return switch (name) {
      case "connect" -> connects();
      case "tls" -> tls();
      case "prepared" -> prepared();
      case "pipeline" -> pipeline();
      case "pipelineError" -> pipelineError();
      case "copy" -> copy();
      case "transaction" -> transaction();
      case "error" -> error();
      case "cancel" -> cancel();
      case "largeObject" -> largeObject();
      case "listen" -> listen();
      case "cursor" -> cursor();
      case "types" -> types();
      default -> throw new IllegalArgumentException("no case is called " + name);
    };
  }

  private Connection connect(String address, String... options) throws SQLException {
    URI uri = URI.create(address);
    String[] credentials = uri.getUserInfo().split(":", 2);
    Properties properties = new Properties();
    properties.setProperty("user", credentials[0]);
    properties.setProperty("password", credentials[1]);
    properties.setProperty("ApplicationName", "pgjdbc/" + name);
    properties.setProperty("assumeMinServerVersion", "9.0"); // so that the name is a start-up parameter
    for (int i = 0; i < options.length; i += 2) properties.setProperty(options[i], options[i + 1]);
    String query = uri.getQuery() == null ? "" : "?" + uri.getQuery();
    return DriverManager.getConnection("jdbc:postgresql://" + uri.getAuthority().split("@")[1] + uri.getPath() + query,
        properties);
  }

  private Connection connect() throws SQLException {
    return connect(url);
  }

  private Map<String, Object> connects() throws Exception {
    Map<String, Object> outcome = new LinkedHashMap<>();
    try (Connection connection = connect();
        Statement statement = connection.createStatement();
        ResultSet row = statement.executeQuery("SELECT current_user::text, 1")) {
      row.next();
      outcome.put("user", row.getString(1));
      outcome.put("one", String.valueOf(row.getInt(2)));
    }
    outcome.put("wrongPassword", sqlState(() -> connect(url, "password", "not the password").close()));
    return outcome;
  }

  private Map<String, Object> tls() throws Exception {
    try (Connection connection = connect(tlsUrl, "sslmode", "verify-full", "sslrootcert", caFile)) {
      return Map.of("version", texts(connection, "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").get(0));
    }
  }

  private Map<String, Object> prepared() throws Exception {
    List<String> rows = new ArrayList<>();
    try (Connection connection = connect(url, "prepareThreshold", "1");
        PreparedStatement plusOne = connection.prepareStatement("SELECT ?::int + 1")) {
      for (int i = 1; i <= 3; i++) {
        plusOne.setInt(1, i);
        try (ResultSet row = plusOne.executeQuery()) {
          row.next();
          rows.add(String.valueOf(row.getInt(1)));
        }
      }
    }
    return Map.of("rows", rows);
  }

  private Map<String, Object> pipeline() throws Exception {
    try (Connection connection = connect()) {
      insertAll(connection, "INSERT INTO pipelined VALUES (?)", IntStream.range(0, 20).toArray());
      List<String> totals = texts(connection, "SELECT unnest(ARRAY[count(*), sum(i)])::text FROM pipelined");
      return Map.of("count", totals.get(0), "sum", totals.get(1));
    }
  }

  private Map<String, Object> pipelineError() throws Exception {
    try (Connection connection = connect()) {
      String failed = sqlState(() -> insertAll(connection, "INSERT INTO pipeline_failed VALUES (?)", 1, 1, 2));
      List<String> survivors = texts(connection, "SELECT i::text FROM pipeline_failed ORDER BY i");
      return Map.of("sqlState", failed, "survivors", survivors);
    }
  }

  private static void insertAll(Connection connection, String sql, int... numbers) throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement(sql)) {
      for (int i : numbers) {
        insert.setInt(1, i);
        insert.addBatch();
      }
      insert.executeBatch();
    }
  }

  private Map<String, Object> copy() throws Exception {
    try (Connection connection = connect()) {
      CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
      manager.copyIn("COPY copied FROM STDIN", new StringReader("1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n"));
      StringWriter out = new StringWriter();
      manager.copyOut("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT", out);
      String failed = sqlState(() -> manager.copyIn("COPY copied FROM STDIN", new StringReader("four\tvier\n")));
      return Map.of("out", out.toString(), "failed", failed);
    }
  }

  private Map<String, Object> transaction() throws Exception {
    try (Connection connection = connect()) {
      connection.setAutoCommit(false);
      insertAccount(connection, 1);
      Savepoint savepoint = connection.setSavepoint();
      String inside = sqlState(() -> insertAccount(connection, 1));
      connection.rollback(savepoint);
      insertAccount(connection, 2);
      connection.commit();
      insertAccount(connection, 3);
      connection.rollback();
      connection.setAutoCommit(true);
      return Map.of("inside", inside, "rows", texts(connection, "SELECT i::text FROM accounts ORDER BY i"));
    }
  }

  private static void insertAccount(Connection connection, int i) throws SQLException {
    try (PreparedStatement insert = connection.prepareStatement("INSERT INTO accounts VALUES (?)")) {
      insert.setInt(1, i);
      insert.executeUpdate();
    }
  }

  private Map<String, Object> error() throws Exception {
    try (Connection connection = connect()) {
      Map<String, Object> outcome = new LinkedHashMap<>();
      outcome.put("unique", sqlState(() -> insertAll(connection, "INSERT INTO taken VALUES (?)", 1)));
      outcome.put("syntax", sqlState(() -> texts(connection, "SELEC 1")));
      outcome.put("after", texts(connection, "SELECT '1'"));
      return outcome;
    }
  }

  private Map<String, Object> cancel() throws Exception {
    try (Connection connection = connect(); Statement sleeper = connection.createStatement()) {
      Thread canceller = new Thread(() -> {
        try {
          // A notice becomes a warning of the statement while that is still running.
          while (sleeper.getWarnings() == null) Thread.sleep(1);
          sleeper.cancel();
        } catch (SQLException | InterruptedException failure) {
          throw new IllegalStateException(failure);
        }
      });
      canceller.start();
      String sleep = "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$";
      String slept = sqlState(() -> sleeper.execute(sleep));
      canceller.join();
      return Map.of("sqlState", slept, "after", texts(connection, "SELECT '1'"));
    }
  }

  /** Large objects go by function call messages here, not by SQL. */
  private Map<String, Object> largeObject() throws Exception {
    byte[] content = new byte[20_000];
    for (int i = 0; i < content.length; i++) content[i] = (byte) (i * 7 + i / 256);
    try (Connection connection = connect()) {
      connection.setAutoCommit(false);
      LargeObjectManager manager = connection.unwrap(PGConnection.class).getLargeObjectAPI();
      long oid = manager.createLO();
      byte[] read;
      try (LargeObject object = manager.open(oid)) {
        object.write(content, 0, 10_000);
        object.write(content, 10_000, 10_000);
        object.seek(0);
        read = object.read(content.length);
      }
      String md5 = texts(connection, "SELECT md5(lo_get(" + oid + "))").get(0);
      manager.delete(oid);
      connection.commit();
      return Map.of("md5", md5, "same", Arrays.equals(read, content));
    }
  }

  private Map<String, Object> listen() throws Exception {
    try (Connection listener = connect(); Statement listen = listener.createStatement()) {
      listen.execute("LISTEN news");
      try (Connection notifier = connect()) {
        texts(notifier, "SELECT pg_notify('news', 'grüße')::text");
      }
      PGNotification news = listener.unwrap(PGConnection.class).getNotifications(0)[0];
      return Map.of("channel", news.getName(), "payload", news.getParameter());
    }
  }

  private Map<String, Object> cursor() throws Exception {
    try (Connection connection = connect()) {
      connection.setAutoCommit(false);
      int rows = 0;
      int sum = 0;
      try (PreparedStatement ten = connection.prepareStatement("SELECT i FROM generate_series(1, 10) AS i")) {
        ten.setFetchSize(4);
        try (ResultSet row = ten.executeQuery()) {
          for (; row.next(); rows++) sum += row.getInt(1);
        }
      }
      connection.commit();
      return Map.of("rows", String.valueOf(rows), "sum", String.valueOf(sum));
    }
  }

  private Map<String, Object> types() throws Exception {
    LocalDateTime moment = LocalDateTime.of(2024, 2, 29, 12, 34, 56, 789_012_000);
    try (Connection connection = connect()) {
      List<Object> sent = new ArrayList<>(List.of((short) -32768, 2147483647, Long.MIN_VALUE,
          new BigDecimal("1234567890123456.0123456789"), 1.5f, Double.NaN, Double.NEGATIVE_INFINITY, "grüße, 世界 🐘",
          new byte[] {0, (byte) 0xff, 0x10, '\'', '\\'}, true, LocalDate.of(2024, 2, 29), moment,
          moment.atOffset(ZoneOffset.UTC), new PGInterval(0, 1, 2, 3, 4, 5.678),
          UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), object("json", "{\"a\": [1, 2]}"),
          object("jsonb", "{\"a\": [1, 2], \"ü\": null}"), new Integer[] {1, null, 3}, new String[] {"a,b", "c\"d", null}));
      sent.add(null);
      sent.add(object("inet", "192.168.0.1"));
      String places = sent.stream().map(value -> "?").collect(Collectors.joining(", "));
      try (PreparedStatement insert = connection.prepareStatement("INSERT INTO every_type VALUES (" + places + ")")) {
        for (int i = 0; i < sent.size(); i++) {
          Object value = sent.get(i);
          if (value == null) insert.setNull(i + 1, Types.VARCHAR);
          else if (value instanceof Integer[] array) insert.setArray(i + 1, connection.createArrayOf("int4", array));
          else if (value instanceof String[] array) insert.setArray(i + 1, connection.createArrayOf("text", array));
          else insert.setObject(i + 1, value);
        }
        insert.executeUpdate();
      }
      boolean same = true;
      try (Statement select = connection.createStatement();
          ResultSet row = select.executeQuery("SELECT * FROM every_type")) {
        row.next();
        for (int i = 0; i < sent.size(); i++) same &= isSame(sent.get(i), row, i + 1);
      }
      return Map.of("stored", texts(connection, "SELECT stored FROM every_type_as_text"), "same", same);
    }
  }

  private static PGobject object(String type, String value) throws SQLException {
    PGobject object = new PGobject();
    object.setType(type);
    object.setValue(value);
    return object;
  }

  private static boolean isSame(Object sent, ResultSet row, int column) throws SQLException {
    if (sent == null) return row.getObject(column) == null;
    if (sent instanceof byte[] bytes) return Arrays.equals(bytes, row.getBytes(column));
    if (sent instanceof Object[] array) return Arrays.equals(array, (Object[]) row.getArray(column).getArray());
    if (sent instanceof PGobject) return sent.equals(row.getObject(column));
    return sent.equals(row.getObject(column, sent.getClass()));
  }

  /** The first column of every row. */
  private static List<String> texts(Connection connection, String sql) throws SQLException {
    List<String> texts = new ArrayList<>();
    try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery(sql)) {
      while (row.next()) texts.add(row.getString(1));
    }
    return texts;
  }

  private static String sqlState(Work work) throws Exception {
    try {
      work.run();
      return "no error";
    } catch (BatchUpdateException error) {
      return error.getNextException() == null ? error.getSQLState() : error.getNextException().getSQLState();
    } catch (SQLException error) {
      return error.getSQLState();
    }
  }

  private static String json(Object value) {
    if (value instanceof Map<?, ?> map) {
      return map.entrySet().stream().map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
          .collect(Collectors.joining(",", "{", "}"));
    }
    if (value instanceof List<?> list) return list.stream().map(PgJdbc::json).collect(Collectors.joining(",", "[", "]"));
    if (value instanceof Boolean) return value.toString();
    return String.valueOf(value).chars()
        .mapToObj(c -> c == '"' || c == '\\' ? "\\" + (char) c : c < 0x20 ? String.format("\\u%04x", c) : "" + (char) c)
        .collect(Collectors.joining("", "\"", "\""));
  }
}
