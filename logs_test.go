package ego_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/persistencetest"
	"github.com/actorkeep/ego/projection"
)

// logged is a log of everything, however unimportant.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) option(t testing.TB) ego.Option {
	return ego.WithLogger(slog.New(kindWatch{t: t, next: slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug - 8})}))
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines returns the lines of a level, all when it is empty.
func (l *logged) lines(t *testing.T, level string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	scanner := bufio.NewScanner(strings.NewReader(l.String()))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		if level == "" || line["level"] == level {
			lines = append(lines, line)
		}
	}
	return lines
}

// find returns the first line of a level with a message.
func (l *logged) find(t *testing.T, level, message string) map[string]any {
	t.Helper()
	for _, line := range l.lines(t, level) {
		if line["msg"] == message {
			return line
		}
	}
	return nil
}

// A kindWatch is the log of the engines of all tests: it fails a test whose engine says something about an entity without its kind,
// by which a service tells whose business that is. Only an entity that nobody knows has none.
type kindWatch struct {
	t          testing.TB
	next       slog.Handler // nil: nobody reads the log
	attributes []slog.Attr
}

func (k kindWatch) Enabled(_ context.Context, level slog.Level) bool {
	return k.next != nil || level >= slog.LevelInfo
}

func (k kindWatch) Handle(ctx context.Context, record slog.Record) error {
	said := make(map[string]string)
	keep := func(a slog.Attr) bool { said[a.Key] = a.Value.String(); return true }
	for _, attribute := range k.attributes {
		keep(attribute)
	}
	record.Attrs(keep)
	if _, about := said["entity"]; about && said["kind"] == "" && !strings.Contains(record.Message, "its entity stayed unknown") {
		k.t.Errorf("the log says %q about the entity %s without its kind", record.Message, said["entity"])
	}
	if k.next == nil {
		return nil
	}
	return k.next.Handle(ctx, record)
}

func (k kindWatch) WithAttrs(attributes []slog.Attr) slog.Handler {
	k.attributes = slices.Concat(k.attributes, attributes)
	if k.next != nil {
		k.next = k.next.WithAttrs(attributes)
	}
	return k
}

func (k kindWatch) WithGroup(string) slog.Handler { return k }

func TestLogs(t *testing.T) { // G12
	t.Parallel()
	const secret = "s3cr3t of a customer"
	log := new(logged)
	store := newStore(t)
	faults := persistencetest.NewFaults()
	backend := faults.Backend(store)
	skips, stops, parks := new(seen), new(seen), new(seen)
	for _, handler := range []*seen{skips, stops, parks} {
		handler.failWith(func(*projection.Event) error { return errors.New("cannot index") })
	}
	skip := projection.NewRecovery(projection.WithRecoveryPolicy(projection.Skip))
	park := projection.NewRecovery(projection.WithRecoveryPolicy(projection.Park))
	engine := startEngine(t, backend, log.option(t),
		ego.WithEncryption(encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())), ego.WithSnapshotInterval(2),
		ego.WithPassivateAfter(20*time.Millisecond), ego.WithKinds(transferKind(new(calls))),
		ego.WithProjection("skips", &projection.Options{Handler: skips, Recovery: skip}),
		ego.WithProjection("parks", &projection.Options{Handler: parks, Recovery: park}),
		ego.WithProjection("stops", &projection.Options{Handler: stops}))
	ctx := ego.WithMetadata(t.Context(), map[string]string{"customer": secret})
	send := func(id string, command ego.Command) error {
		_, _, err := engine.SendCommand(ctx, id, command, patience)
		return err
	}
	open(t, engine, "a")
	open(t, engine, "b")
	require.NoError(t, send("a", &testpb.Deposit{Amount: 50, Note: secret}))
	require.Error(t, send("a", &testpb.Withdraw{Amount: 1000}))
	require.Error(t, send("a", &testpb.Misbehave{How: "panic"}))
	require.Error(t, send("nobody", &testpb.Deposit{Amount: 1, Note: secret}))
	require.NoError(t, engine.Saga(ctx, newTransfer("s"), time.Minute))
	settled(t, engine, "s", ego.SagaCompleted)
	faults.On("WriteEvents").First(1).Fail(errDown)
	require.Error(t, send("a", &testpb.Deposit{Amount: 1, Note: secret}))
	faults.On("WriteSnapshot").First(1).Fail(errDown)
	for range 3 {
		require.NoError(t, send("a", &testpb.Deposit{Amount: 1, Note: secret}))
	}
	at := time.Now()
	_, err := engine.ScheduleCommand(ctx, "a", &testpb.Withdraw{Amount: 100_000}, at)
	require.NoError(t, err)
	startProjection(t, engine, "skips")
	startProjection(t, engine, "parks")
	startProjection(t, engine, "stops")
	require.Eventually(t, func() bool {
		return log.find(t, "WARN", "an event was skipped") != nil && log.find(t, "WARN", "an event was parked") != nil && log.find(t, "ERROR", "a shard of a consumer stopped") != nil &&
			log.find(t, "WARN", "a scheduled command was refused") != nil
	}, patience, 5*time.Millisecond)
	require.NoError(t, engine.EraseEntity(context.Background(), "b"))
	stopEngine(t, engine)

	text := log.String()
	for _, hidden := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))[:16]} {
		require.NotContains(t, text, hidden)
	}
	require.NotNil(t, log.find(t, "INFO", "engine started"))
	require.NotNil(t, log.find(t, "INFO", "engine stopped"))
	require.Contains(t, []any{"a", "b", "!saga/s"}, log.find(t, "WARN", "an event was skipped")["entity"], "shards are read side by side")
	for _, line := range log.lines(t, "ERROR") {
		require.Equal(t, "stops", line["consumer"], "only what needs a person is an error: %v", line)
	}
	for _, line := range log.lines(t, "") {
		require.NotContains(t, line["msg"], "refused by", "a refused command is an answer")
		if line["component"] == "goakt" {
			require.Contains(t, []any{"INFO", "DEBUG", "DEBUG-4"}, line["level"], line)
		}
	}
	require.Contains(t, text, `"component":"goakt"`)
	for _, message := range []string{"entity erased", "an event was skipped", "an event was parked", "a scheduled command was refused", "snapshot or retention failed"} {
		require.Contains(t, text, `"msg":"`+message+`"`)
	}
}
