package websocket

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/coder/websocket"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/gate"
	"github.com/actorkeep/ego/publisher"
)

// A shipment is a frame on its way.
type shipment struct {
	key   string
	frame *egopb.Frame
	err   chan error // the answer, when one is waited for
}

// A dialer keeps one connection to the server, while there is one.
type dialer struct {
	config *Config
	gate   gate.Gate

	mu   sync.Mutex // held while it connects
	link *link      // nil: not connected
}

// publish sends frames and waits for their answers, one of each entity at a time, so that none overtakes one that was
// refused.
func (d *dialer) publish(ctx context.Context, shipments []*shipment) error {
	if !d.gate.Enter() {
		return publisher.ErrClosed
	}
	defer d.gate.Leave()
	if err := ctx.Err(); err != nil {
		return publisher.Unavailable(err)
	}
	if len(shipments) == 0 {
		return nil
	}
	l, err := d.connected(ctx)
	if err != nil {
		return publisher.Unavailable(err)
	}
	for len(shipments) > 0 {
		var round, rest []*shipment
		var blocked publisher.Blocked
		for _, s := range shipments {
			if blocked.Has(s.key) || len(round) == d.config.InFlight {
				rest = append(rest, s)
				continue
			}
			if round = append(round, s); !d.config.WithoutAcks {
				blocked.Add(s.key)
			}
		}
		if err := l.send(ctx, round); err != nil {
			return err
		}
		shipments = rest
	}
	return nil
}

// connected returns the connection, after making one when there is none that works.
func (d *dialer) connected(ctx context.Context) (*link, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil && d.link.alive() {
		return d.link, nil
	}
	if d.link != nil {
		d.link.close()
		d.link = nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.config.DialTimeout)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, d.config.URL, &websocket.DialOptions{HTTPClient: d.config.Client, HTTPHeader: d.config.Header})
	if response != nil && response.Body != nil {
		_ = response.Body.Close() // nothing of it is wanted
	}
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	d.link = newLink(conn, d.config)
	return d.link, nil
}

func (d *dialer) close(ctx context.Context) error {
	err := d.gate.Close(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.link != nil {
		d.link.close()
		d.link = nil
	}
	if err != nil {
		return fmt.Errorf("websocket: %w", err)
	}
	return nil
}

// A link is one connection.
type link struct {
	config *Config
	conn   *websocket.Conn
	cancel context.CancelFunc
	ended  context.Context //nolint:containedctx // over with the connection
	wg     sync.WaitGroup

	mu      sync.Mutex
	last    uint64
	pending map[uint64]*shipment
}

func newLink(conn *websocket.Conn, config *Config) *link {
	l := &link{config: config, conn: conn, pending: make(map[uint64]*shipment)}
	l.ended, l.cancel = context.WithCancel(context.Background())
	l.wg.Go(l.read)
	l.wg.Go(func() { ping(l.ended, conn, config.PingInterval, l.cancel) })
	return l
}

func (l *link) alive() bool { return l.ended.Err() == nil }

func (l *link) close() {
	_ = l.conn.CloseNow() // whatever was on its way is answered by its context or by the end of the link
	l.cancel()
	l.wg.Wait()
}

// read hands answers on until the connection is over.
func (l *link) read() {
	defer l.cancel()
	for {
		kind, data, err := l.conn.Read(l.ended)
		if err != nil {
			return
		}
		frame, err := unmarshalFrame(kind, data)
		if err != nil {
			return
		}
		l.mu.Lock()
		s := l.pending[frame.GetId()]
		delete(l.pending, frame.GetId())
		l.mu.Unlock()
		if s != nil {
			s.err <- answer(frame.GetAck())
		}
	}
}

func answer(ack *egopb.Ack) error {
	switch {
	case ack.GetRejected():
		return publisher.Rejectf("websocket: the server rejects it: %s", ack.GetError())
	case ack.GetError() != "":
		return fmt.Errorf("websocket: the server does not take it: %s", ack.GetError())
	default:
		return nil
	}
}

// send writes frames and waits until all are answered.
func (l *link) send(ctx context.Context, round []*shipment) error {
	var problems []error
	for _, s := range round {
		if err := l.write(ctx, s); errors.Is(err, publisher.ErrRejected) {
			s.err = nil
			problems = append(problems, err)
		} else if err != nil {
			return errors.Join(append(problems, err)...)
		}
	}
	for _, s := range round {
		if s.err == nil {
			continue
		}
		select {
		case err := <-s.err:
			problems = append(problems, err)
		case <-l.ended.Done():
			return errors.Join(append(problems, publisher.Unavailable(errors.New("websocket: the connection was lost")))...)
		case <-ctx.Done():
			return errors.Join(append(problems, publisher.Unavailable(ctx.Err()))...)
		}
	}
	return errors.Join(problems...)
}

// write writes a frame, and has its answer waited for.
func (l *link) write(ctx context.Context, s *shipment) error {
	if !l.config.WithoutAcks {
		l.expect(s)
	}
	data, kind, err := marshalFrame(s.frame, !l.config.JSON)
	if err == nil && len(data) > l.config.MaxMessageBytes {
		err = fmt.Errorf("the frame has %d bytes, more than %d", len(data), l.config.MaxMessageBytes)
	}
	if err != nil {
		l.forget(s)
		return publisher.Reject(fmt.Errorf("websocket: %w", err))
	}
	if err := l.conn.Write(ctx, kind, data); err != nil {
		l.cancel() // a frame that was written in part ends the connection
		return publisher.Unavailable(fmt.Errorf("websocket: %w", err))
	}
	return nil
}

func (l *link) expect(s *shipment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	s.frame.Id = l.last
	s.err = make(chan error, 1)
	l.pending[l.last] = s
}

func (l *link) forget(s *shipment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, s.frame.GetId())
}
