package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/websocket"
)

const (
	patience = 2 * time.Minute
	tick     = 10 * time.Millisecond
)

// A site is an engine with a feed.
type site struct {
	engine  *ego.Engine
	handler *websocket.Handler
	server  *httptest.Server
	client  *http.Client
}

func newSite(t testing.TB, change ...func(config *websocket.HandlerConfig)) *site {
	t.Helper()
	engine := ego.NewEngine("test", memory.NewStore())
	require.NoError(t, engine.Start(t.Context()))
	config := websocket.HandlerConfig{Events: engine.EventStream(), States: engine.StateStream(), Authorize: websocket.AllowAll}
	for _, f := range change {
		f(&config)
	}
	s := newFeed(t, config)
	s.engine = engine
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
	return s
}

func newFeed(t testing.TB, config websocket.HandlerConfig) *site {
	t.Helper()
	handler, err := websocket.NewHandler(config)
	require.NoError(t, err)
	s := &site{handler: handler, server: httptest.NewServer(handler), client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		s.server.CloseClientConnections()
		s.server.Close()
		require.Eventually(t, func() bool { return handler.Clients() == 0 }, patience, tick)
	})
	return s
}

func (s *site) deposit(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, s.engine.Entity(t.Context(), testaccount.New(id)))
		_, _, err := s.engine.SendCommand(t.Context(), id, &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
	}
}

// events connects as a browser's EventSource does and returns what reads frames.
func (s *site) events(t testing.TB, query, last string) (next func() *egopb.Frame, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+"?"+query, nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := s.client.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	lines := bufio.NewScanner(response.Body)
	next = func() *egopb.Frame {
		var id string
		for lines.Scan() {
			line := lines.Text()
			if value, ok := strings.CutPrefix(line, "id: "); ok {
				id = value
			}
			if value, ok := strings.CutPrefix(line, "data: "); ok {
				frame := new(egopb.Frame)
				require.NoError(t, protojson.Unmarshal([]byte(value), frame))
				require.Equal(t, id, frame.GetCursor())
				return frame
			}
		}
		require.Fail(t, "the stream has ended", "%v", lines.Err())
		return nil
	}
	return next, func() { cancel(); response.Body.Close() }
}

func (s *site) socket(t testing.TB, query string) *coder.Conn {
	t.Helper()
	conn, _, err := coder.Dial(t.Context(), s.server.URL+"?"+query, &coder.DialOptions{HTTPClient: s.client}) //nolint:bodyclose // the connection is the body
	require.NoError(t, err)
	conn.SetReadLimit(1 << 22)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// read reads a frame of a WebSocket.
func read(t testing.TB, conn *coder.Conn) *egopb.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kind, data, err := conn.Read(ctx)
	require.NoError(t, err)
	frame := new(egopb.Frame)
	if kind == coder.MessageBinary {
		require.NoError(t, proto.Unmarshal(data, frame))
	} else {
		require.NoError(t, protojson.Unmarshal(data, frame))
	}
	return frame
}

func idOf(frame *egopb.Frame) string {
	if state := frame.GetState(); state != nil {
		return publisher.StateID(state)
	}
	return publisher.EventID(frame.GetEvent())
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()

	t.Run("ResumeByLastEventID", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.deposit(t, "a", "a")
		next, end := s.events(t, "from=start", "")
		require.Equal(t, "a/1", idOf(next()))
		second := next()
		require.Equal(t, "a/2", idOf(second))
		end()
		s.deposit(t, "a", "a")
		next, _ = s.events(t, "from=start", second.GetCursor())
		require.Equal(t, "a/3", idOf(next()))
		require.Equal(t, "a/4", idOf(next()))
		s.deposit(t, "a")
		require.Equal(t, "a/5", idOf(next()), "live")
	})
	t.Run("FiltersByEntityKindAndType", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.deposit(t, "a", "b", "c")
		for query, want := range map[string]string{
			"from=start&entity=b": "b/1", "from=start&type=egotest.v1.Deposited&entity=c": "c/1",
		} {
			next, _ := s.events(t, query, "")
			require.Equal(t, want, idOf(next()))
		}
		next, _ := s.events(t, "from=now&kind=nothing&kind="+url.QueryEscape(s.kind(t)), "")
		s.deposit(t, "d")
		require.Equal(t, "d/1", idOf(next()))
	})
	t.Run("States", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		next, _ := s.events(t, "stream=states&from=start", "")
		require.NoError(t, s.engine.DurableStateEntity(t.Context(), testaccount.NewPurse("p")))
		_, _, err := s.engine.SendCommand(t.Context(), "p", &testpb.Deposit{Amount: 1}, patience)
		require.NoError(t, err)
		require.Equal(t, "p/1", idOf(next()))
	})
	t.Run("EndsWithTheEngine", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL, nil)
		require.NoError(t, err)
		response, err := s.client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		require.NoError(t, s.engine.Stop(t.Context()))
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			continue
		}
	})
}

// kind returns the kind of the accounts.
func (s *site) kind(t testing.TB) string {
	t.Helper()
	for event, err := range s.engine.History(t.Context(), "a", 1, 1) {
		require.NoError(t, err)
		return event.Kind
	}
	return ""
}

func TestSocket(t *testing.T) {
	t.Parallel()

	t.Run("StreamsInBothFormatsAndResumes", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.deposit(t, "a", "a")
		for _, format := range []string{"json", "protobuf"} {
			conn := s.socket(t, "from=start&format="+format)
			first := read(t, conn)
			require.Equal(t, "a/1", idOf(first))
			require.Equal(t, "a/2", idOf(read(t, conn)))
			conn = s.socket(t, "format="+format+"&from="+url.QueryEscape(first.GetCursor()))
			frame := read(t, conn)
			require.Equal(t, "a/2", idOf(frame))
			message, err := frame.GetEvent().GetPayload().UnmarshalNew()
			require.NoError(t, err)
			require.EqualValues(t, 1, message.(*testpb.Deposited).GetAmount())
		}
	})
	t.Run("ClosesWhenTheEngineStops", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		conn := s.socket(t, "")
		require.NoError(t, s.engine.Stop(t.Context()))
		_, _, err := conn.Read(t.Context())
		require.Equal(t, coder.StatusGoingAway, coder.CloseStatus(err))
	})
	t.Run("ClientThatTalksIsClosed", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		conn := s.socket(t, "")
		require.NoError(t, conn.Write(t.Context(), coder.MessageText, []byte("hello")))
		_, _, err := conn.Read(t.Context())
		require.Equal(t, coder.StatusPolicyViolation, coder.CloseStatus(err))
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(config *websocket.HandlerConfig) {
		config.Origins = []string{"*.example.com"}
		config.MaxClients = 1
		config.Authorize = func(r *http.Request, request *websocket.Request) error {
			switch r.Header.Get("Authorization") {
			case "":
				return &websocket.StatusError{Status: http.StatusUnauthorized, Err: errors.New("who are you?")}
			case "thief":
				return errors.New("not you")
			}
			request.Selection.Entities = []string{"mine"}
			return nil
		}
	})
	ask := func(change func(r *http.Request)) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "ann")
		change(r)
		response, err := s.client.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	socket := func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Sec-Websocket-Version", "13")
		r.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	for name, c := range map[string]struct {
		change func(r *http.Request)
		status int
	}{
		"NobodyInParticular": {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"SomebodyElse":       {func(r *http.Request) { r.Header.Set("Authorization", "thief") }, http.StatusForbidden},
		"PageOfAnotherSite":  {func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, http.StatusForbidden},
		"SocketOfAnotherSite": {func(r *http.Request) {
			socket(r)
			r.Header.Set("Origin", "https://evil.test")
		}, http.StatusForbidden},
		"NoGet":     {func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"BadCursor": {func(r *http.Request) { r.URL.RawQuery = "from=yesterday" }, http.StatusBadRequest},
		"BadStream": {func(r *http.Request) { r.URL.RawQuery = "stream=x" }, http.StatusBadRequest},
		"BadFormat": {func(r *http.Request) { r.URL.RawQuery = "format=x" }, http.StatusBadRequest},
		"LongQuery": {func(r *http.Request) { r.URL.RawQuery = "kind=" + strings.Repeat("k", 20_000) }, http.StatusBadRequest},
	} {
		require.Equal(t, c.status, ask(c.change), name)
	}

	s.deposit(t, "theirs", "mine")
	header := http.Header{"Authorization": {"ann"}, "Origin": {"https://www.example.com"}}
	conn, _, err := coder.Dial(t.Context(), s.server.URL+"?from=start", &coder.DialOptions{HTTPClient: s.client, HTTPHeader: header}) //nolint:bodyclose // the connection is the body
	require.NoError(t, err)
	defer func() { _ = conn.CloseNow() }()
	require.Equal(t, "mine/1", idOf(read(t, conn)), "Authorize narrows the selection")
	require.Equal(t, http.StatusServiceUnavailable, ask(func(*http.Request) {}), "one client is the most")
}

// A flood is a stream of large events without end.
type flood struct{ size int }

func (f flood) Now(context.Context) (publisher.Cursor, error) { return publisher.Cursor{}, nil }

func (f flood) After(ctx context.Context, _ publisher.Cursor, _ publisher.Selection) iter.Seq2[*publisher.Item, error] {
	return func(yield func(*publisher.Item, error) bool) {
		payload, err := anypb.New(wrapperspb.Bytes(make([]byte, f.size)))
		for position := uint64(1); err == nil && ctx.Err() == nil; position++ {
			event := &egopb.Event{PersistenceId: "a", SequenceNumber: position, Position: position, Payload: payload}
			if !yield(&publisher.Item{Position: position, Event: event}, nil) {
				return
			}
		}
	}
}

func TestSlowClients(t *testing.T) {
	t.Parallel()

	t.Run("AreClosedWithACode", func(t *testing.T) {
		t.Parallel()
		s := newFeed(t, websocket.HandlerConfig{
			Events: flood{1 << 20}, Authorize: websocket.AllowAll, SlowAfter: 50 * time.Millisecond, WriteTimeout: patience,
		})
		conn := s.socket(t, "format=protobuf")
		<-time.After(500 * time.Millisecond) // its buffers are full and a frame waits
		var last uint64
		for {
			kind, data, err := conn.Read(t.Context())
			if err != nil {
				require.Equal(t, websocket.StatusSlow, coder.CloseStatus(err))
				break
			}
			require.Equal(t, coder.MessageBinary, kind)
			frame := new(egopb.Frame)
			require.NoError(t, proto.Unmarshal(data, frame))
			last++
			require.Equal(t, fmt.Sprintf("a/%d", last), idOf(frame))
		}
		require.NotZero(t, last)
	})
	t.Run("ThatTakeNothingAreCutOff", func(t *testing.T) {
		t.Parallel()
		s := newFeed(t, websocket.HandlerConfig{
			Events: flood{1 << 20}, Authorize: websocket.AllowAll, SlowAfter: 50 * time.Millisecond, WriteTimeout: 100 * time.Millisecond,
		})
		s.socket(t, "format=protobuf")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.server.URL, nil)
		require.NoError(t, err)
		response, err := s.client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Eventually(t, func() bool { return s.handler.Clients() == 0 }, patience, tick)
	})
	t.Run("ThatDoNotAnswerPingsAreCutOff", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(config *websocket.HandlerConfig) { config.PingInterval = 50 * time.Millisecond })
		s.socket(t, "") // nobody reads, so nobody answers
		require.Eventually(t, func() bool { return s.handler.Clients() == 0 }, patience, tick)
	})
}

func TestBadHandlerConfig(t *testing.T) {
	t.Parallel()
	_, err := websocket.NewHandler(websocket.HandlerConfig{PingInterval: -1})
	for _, problem := range []string{"no stream", "AllowAll", "ping interval"} {
		require.ErrorContains(t, err, problem)
	}
}
