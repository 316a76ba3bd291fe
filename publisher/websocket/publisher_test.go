package websocket_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/publishertest"
	"github.com/actorkeep/ego/publisher/websocket"
)

const maxMessage = 100_000

// A house is a server that keeps what it receives, and can be down.
type house struct {
	receiver *websocket.Receiver
	addr     string
	client   *http.Client

	mu     sync.Mutex
	server *httptest.Server
	cancel context.CancelFunc // ends its connections
	kept   []publishertest.Received
	refuse func(id string) error
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{addr: "127.0.0.1:0", client: &http.Client{Transport: &http.Transport{}}}
	var err error
	h.receiver, err = websocket.NewReceiver(websocket.ReceiverConfig{
		Take: h.take, Authorize: func(*http.Request) error { return nil }, MaxMessageBytes: maxMessage,
	})
	require.NoError(t, err)
	h.start(t)
	t.Cleanup(h.stop)
	return h
}

func (h *house) start(t testing.TB) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", h.addr)
	require.NoError(t, err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addr = listener.Addr().String()
	h.server = httptest.NewUnstartedServer(h.receiver)
	h.server.Listener.Close()
	h.server.Listener = listener
	ctx, cancel := context.WithCancel(context.Background())
	h.server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	h.server.Start()
	h.cancel = cancel
}

func (h *house) stop() {
	h.mu.Lock()
	server := h.server
	h.cancel() // hijacked connections are not the server's to close
	h.mu.Unlock()
	server.CloseClientConnections()
	server.Close()
	h.client.CloseIdleConnections()
}

func (h *house) take(_ context.Context, frame *egopb.Frame) error {
	var (
		m   *publisher.Message
		err error
	)
	if event := frame.GetEvent(); event != nil {
		m, err = publisher.Protobuf().EncodeEvent(event)
	} else {
		m, err = publisher.Protobuf().EncodeState(frame.GetState())
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		if err := h.refuse(m.ID); err != nil {
			return err
		}
	}
	h.kept = append(h.kept, publishertest.Received{ID: m.ID, Key: m.Key, Body: m.Body})
	return nil
}

func (h *house) received() []publishertest.Received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]publishertest.Received(nil), h.kept...)
}

func (h *house) config(json bool) websocket.Config {
	return websocket.Config{URL: "ws://" + h.addr, JSON: json, MaxMessageBytes: maxMessage, Client: h.client}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, json := range map[string]bool{"Binary": false, "JSON": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			publishertest.Run(t, func(t testing.TB) publishertest.Broker {
				h := newHouse(t)
				return publishertest.Broker{
					Events: func(t testing.TB) publisher.EventPublisher {
						p, err := websocket.NewEventPublisher(h.config(json))
						require.NoError(t, err)
						return p
					},
					States: func(t testing.TB) publisher.StatePublisher {
						p, err := websocket.NewStatePublisher(h.config(json))
						require.NoError(t, err)
						return p
					},
					Received: func(testing.TB) []publishertest.Received { return h.received() },
					Outage: func(t testing.TB) func() {
						h.stop()
						var once sync.Once
						return func() { once.Do(func() { h.start(t) }) }
					},
					Oversized: maxMessage + 1,
				}
			})
		})
	}
}

func newEvent(id string, number uint64) *egopb.Event {
	return &egopb.Event{PersistenceId: id, SequenceNumber: number}
}

func TestPublisher(t *testing.T) {
	t.Parallel()

	t.Run("ServerSaysWhoseFaultItIs", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.refuse = func(id string) error {
			switch id {
			case "a/1":
				return publisher.Rejectf("never")
			case "b/1":
				return context.DeadlineExceeded
			case "c/1":
				panic("odd")
			}
			return nil
		}
		p, err := websocket.NewEventPublisher(h.config(false))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close(context.Background())) })
		require.ErrorIs(t, p.Publish(t.Context(), newEvent("a", 1)), publisher.ErrRejected)
		err = p.Publish(t.Context(), newEvent("b", 1))
		require.ErrorContains(t, err, "deadline")
		require.NotErrorIs(t, err, publisher.ErrRejected)
		require.ErrorIs(t, p.Publish(t.Context(), newEvent("c", 1)), publisher.ErrRejected)
		require.ErrorIs(t, p.PublishBatch(t.Context(), []*egopb.Event{newEvent("d", 1), newEvent("a", 1), newEvent("a", 2)}), publisher.ErrRejected)
		require.Len(t, h.received(), 1, "nothing may overtake what was rejected")
	})
	t.Run("WithoutAcksNobodyWaits", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		config := h.config(false)
		config.WithoutAcks = true
		p, err := websocket.NewEventPublisher(config)
		require.NoError(t, err)
		var events []*egopb.Event
		for number := range uint64(10) {
			events = append(events, newEvent("a", number+1))
		}
		require.NoError(t, p.PublishBatch(t.Context(), events))
		require.Eventually(t, func() bool { return len(h.received()) == len(events) }, patience, tick)
		require.True(t, proto.Equal(events[9], eventOf(t, h.received()[9])))
		require.NoError(t, p.Close(t.Context()))
	})
	t.Run("BadConfigurationIsSaid", func(t *testing.T) {
		t.Parallel()
		_, err := websocket.NewEventPublisher(websocket.Config{URL: "ftp://x", InFlight: -1})
		require.ErrorContains(t, err, "ftp://x")
		require.ErrorContains(t, err, "below zero")
		_, err = websocket.NewStatePublisher(websocket.Config{})
		require.Error(t, err)
		_, err = websocket.NewReceiver(websocket.ReceiverConfig{})
		require.Error(t, err)
	})
}

func eventOf(t testing.TB, r publishertest.Received) *egopb.Event {
	t.Helper()
	event := new(egopb.Event)
	require.NoError(t, proto.Unmarshal(r.Body, event))
	return event
}
