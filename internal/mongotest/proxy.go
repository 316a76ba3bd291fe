package mongotest

import (
	"bufio"
	"bytes"
	"context"
	bits "encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Proxy stands between clients and the shared server and can lose, cut and repeat what they say to each other, and answer
// commands in the place of the server. It passes on whole messages of the protocol.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	fault fault
	begun chan struct{} // closed when the fault has happened first
	judge func(c Command) Verdict
}

// A fault is what a proxy does to messages.
type fault int

const (
	none fault = iota
	loseAnswers
	cutRequests
	repeatInserts
)

// NewProxy starts a proxy for the shared server. It ends with the test.
func NewProxy(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(URL(t))
	require.NoError(t, err)
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{target: target.Host, listener: listener}
	p.done.Add(1)
	go p.accept()
	t.Cleanup(func() {
		_ = listener.Close() // ends accept
		p.Cut()
		p.done.Wait()
	})
	return p
}

// URL returns the connection string of the proxy.
func (p *Proxy) URL() string {
	return "mongodb://" + p.address() + "/?directConnection=true&heartbeatFrequencyMS=500"
}

func (p *Proxy) accept() {
	defer p.done.Done()
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		var dialer net.Dialer
		server, err := dialer.DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			_ = conn.Close()
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, conn, server)
		p.mu.Unlock()
		l := &link{proxy: p, client: conn, server: server, repeated: make(map[uint32]bool),
			changes: make(map[int32]func(bson.D) error)}
		p.done.Add(2)
		go l.pass(conn, server, l.request)
		go l.pass(server, conn, l.answer)
	}
}

// A link is one connection of a client.
type link struct {
	proxy          *Proxy
	client, server net.Conn

	mu       sync.Mutex
	repeated map[uint32]bool                     // requests whose next answer is kept from the client
	changes  map[int32]func(answer bson.D) error // requests whose answer is changed on its way to the client
}

// pass hands on messages until handle returns false or one side ends.
func (l *link) pass(from, to net.Conn, handle func(message []byte) bool) {
	defer l.proxy.done.Done()
	defer from.Close()
	defer to.Close()
	source := bufio.NewReader(from)
	for {
		head, err := source.Peek(4)
		if err != nil {
			return
		}
		message := make([]byte, bits.LittleEndian.Uint32(head))
		if _, err := io.ReadFull(source, message); err != nil || !handle(message) {
			return
		}
	}
}

// request hands on a request, and reports false when the connection is to end.
func (l *link) request(message []byte) bool {
	message, err := l.judged(message)
	if err != nil || message == nil {
		return err == nil
	}
	switch {
	case l.proxy.happens(cutRequests):
		_, _ = l.server.Write(message[:len(message)/2])
		return false
	case isInsert(message) && l.proxy.happens(repeatInserts):
		l.mu.Lock()
		l.repeated[bits.LittleEndian.Uint32(message[4:])] = true
		l.mu.Unlock()
		message = append(bytes.Clone(message), message...)
	}
	_, err = l.server.Write(message)
	return err == nil
}

// isInsert reports whether a message is an OP_MSG whose command is insert.
func isInsert(message []byte) bool {
	const name = 16 + 4 + 1 + 4 + 1 // header, flags, kind of the section, length of the document, type of its first element
	return len(message) > name && bytes.HasPrefix(message[name:], []byte("insert\x00"))
}

// answer hands on an answer, and reports false when the connection is to end.
func (l *link) answer(message []byte) bool {
	if l.proxy.happens(loseAnswers) {
		return false
	}
	l.mu.Lock()
	of := bits.LittleEndian.Uint32(message[8:])
	kept := l.repeated[of]
	delete(l.repeated, of)
	l.mu.Unlock()
	if kept {
		return true
	}
	if done, err := l.changed(message); done || err != nil {
		return err == nil
	}
	_, err := l.client.Write(message)
	return err == nil
}

// happens reports whether a fault is to happen now.
func (p *Proxy) happens(f fault) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != f {
		return false
	}
	if p.begun != nil {
		close(p.begun)
		p.begun = nil
	}
	return true
}

func (p *Proxy) begin(f fault) (begun <-chan struct{}, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := make(chan struct{})
	p.fault, p.begun = f, first
	return first, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fault, p.begun = none, nil
	}
}

// LoseAnswers has the connection of every answer cut before the answer arrives, until the returned function is called. The
// channel is closed with the first.
func (p *Proxy) LoseAnswers() (lost <-chan struct{}, stop func()) { return p.begin(loseAnswers) }

// CutRequests has the connection of every request cut in the middle of it, until the returned function is called. The channel
// is closed with the first.
func (p *Proxy) CutRequests() (cut <-chan struct{}, stop func()) { return p.begin(cutRequests) }

// RepeatInserts has every insert arrive twice, and only the answer to the second reach the client, until the returned function
// is called. The channel is closed with the first.
func (p *Proxy) RepeatInserts() (repeated <-chan struct{}, stop func()) {
	return p.begin(repeatInserts)
}

// Cut cuts all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close() // it may be closed
	}
	p.conns = nil
}
