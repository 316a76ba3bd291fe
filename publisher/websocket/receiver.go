package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// ReceiverConfig is what a [Receiver] needs.
type ReceiverConfig struct {
	// Take takes a frame with an event or a state. Those of one connection come one at a time, in order; a frame may come
	// again, after its connection was lost. An error tells the publisher to send it again, one of publisher.Reject never
	// to do so.
	Take func(ctx context.Context, frame *egopb.Frame) error

	// Authorize decides about a publisher, as [HandlerConfig.Authorize] does. It is required.
	Authorize func(r *http.Request) error

	// Origins, PingInterval and WriteTimeout are those of [HandlerConfig].
	Origins      []string
	PingInterval time.Duration
	WriteTimeout time.Duration

	// MaxMessageBytes is the largest frame that is read. The default is 1 MiB.
	MaxMessageBytes int64
}

// A Receiver takes what an [EventPublisher] or a [StatePublisher] sends.
type Receiver struct{ config ReceiverConfig }

// NewReceiver returns a receiver.
func NewReceiver(config ReceiverConfig) (*Receiver, error) {
	if config.Take == nil || config.Authorize == nil {
		return nil, errors.New("websocket: a receiver needs Take and Authorize")
	}
	if config.PingInterval == 0 {
		config.PingInterval = DefaultPingInterval
	}
	if config.WriteTimeout == 0 {
		config.WriteTimeout = DefaultWriteTimeout
	}
	if config.MaxMessageBytes == 0 {
		config.MaxMessageBytes = DefaultMaxMessageBytes
	}
	return &Receiver{config}, nil
}

// ServeHTTP serves one publisher until it goes.
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := rc.config.Authorize(r); err != nil {
		status := http.StatusForbidden
		if with, ok := errors.AsType[*StatusError](err); ok {
			status = with.Status
		}
		http.Error(w, err.Error(), status)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: rc.config.Origins})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(rc.config.MaxMessageBytes)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var pinging sync.WaitGroup
	pinging.Go(func() {
		ping(ctx, conn, rc.config.PingInterval, func() { _ = conn.CloseNow() })
	})
	for rc.next(ctx, conn) == nil {
		continue
	}
	cancel()
	pinging.Wait()
	_ = conn.CloseNow() // it is over
}

// next takes one frame and answers it.
func (rc *Receiver) next(ctx context.Context, conn *websocket.Conn) error {
	kind, data, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	frame, err := unmarshalFrame(kind, data)
	if err != nil {
		return conn.Close(websocket.StatusInvalidFramePayloadData, "this is no frame")
	}
	ack := new(egopb.Ack)
	if err := rc.take(ctx, frame); err != nil {
		ack.Error, ack.Rejected = err.Error(), errors.Is(err, publisher.ErrRejected)
	}
	if frame.GetId() == 0 {
		return nil
	}
	once, cancel := context.WithTimeout(ctx, rc.config.WriteTimeout)
	defer cancel()
	answer := &egopb.Frame{Id: frame.GetId(), Content: &egopb.Frame_Ack{Ack: ack}}
	return writeFrame(once, conn, answer, kind == websocket.MessageBinary)
}

// take calls the user's function, whose panic rejects the frame.
func (rc *Receiver) take(ctx context.Context, frame *egopb.Frame) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = publisher.Reject(fmt.Errorf("the receiver panicked: %v", value))
		}
	}()
	return rc.config.Take(ctx, frame)
}
