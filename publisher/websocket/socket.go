package websocket

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// serveSocket streams over a WebSocket.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request, stream publisher.Stream, request *Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: h.config.Origins})
	if err != nil {
		return // Accept has answered
	}
	ctx := conn.CloseRead(r.Context()) // clients say nothing; one that does is closed
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pinging sync.WaitGroup
	pinging.Go(func() { ping(ctx, conn, h.config.PingInterval, cancel) })
	s := &socketSender{conn: conn, protobuf: request.Protobuf, timeout: h.config.WriteTimeout}
	err = h.follow(ctx, stream, request, s)
	code, reason := websocket.StatusGoingAway, "the stream has ended; resume from your cursor"
	if errors.Is(err, errSlow) {
		code, reason = StatusSlow, "too slow; resume from your cursor"
	}
	cancel()
	pinging.Wait()
	_ = conn.Close(code, reason) // the connection is over either way
}

// ping tests a connection until the context ends, and ends it when the peer does not answer.
func ping(ctx context.Context, conn *websocket.Conn, interval time.Duration, failed func()) {
	for {
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return
		}
		once, cancel := context.WithTimeout(ctx, interval)
		err := conn.Ping(once)
		cancel()
		if err != nil {
			failed()
			return
		}
	}
}

// A socketSender writes frames to a WebSocket.
type socketSender struct {
	conn     *websocket.Conn
	protobuf bool
	timeout  time.Duration
}

func (s *socketSender) send(ctx context.Context, frame *egopb.Frame) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return writeFrame(ctx, s.conn, frame, s.protobuf)
}

// writeFrame writes a frame in protobuf's binary or JSON form.
func writeFrame(ctx context.Context, conn *websocket.Conn, frame *egopb.Frame, binary bool) error {
	data, kind, err := marshalFrame(frame, binary)
	if err != nil {
		return &encodeError{err}
	}
	return conn.Write(ctx, kind, data)
}

func marshalFrame(frame *egopb.Frame, binary bool) ([]byte, websocket.MessageType, error) {
	if binary {
		data, err := proto.Marshal(frame)
		return data, websocket.MessageBinary, err
	}
	data, err := protojson.Marshal(frame)
	return data, websocket.MessageText, err
}

func unmarshalFrame(kind websocket.MessageType, data []byte) (*egopb.Frame, error) {
	frame := new(egopb.Frame)
	if kind == websocket.MessageBinary {
		return frame, proto.Unmarshal(data, frame)
	}
	return frame, protojson.Unmarshal(data, frame)
}
