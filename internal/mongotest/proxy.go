package mongotest

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Proxy stands between clients and the shared server and can lose what the server answers.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	mute  bool
	lost  chan struct{} // closed when the first answer was lost
}

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
	return "mongodb://" + p.listener.Addr().String() + "/?directConnection=true&heartbeatFrequencyMS=500"
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
		p.done.Add(2)
		go p.copy(server, conn, false)
		go p.copy(conn, server, true)
	}
}

func (p *Proxy) copy(to, from net.Conn, answers bool) {
	defer p.done.Done()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if answers && n > 0 && p.loses() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// loses reports whether an answer is lost.
func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.mute {
		return false
	}
	if p.lost != nil {
		close(p.lost)
		p.lost = nil
	}
	return true
}

// LoseAnswers has the connection of every answer cut before the answer arrives, until the returned function is called. The
// channel is closed with the first.
func (p *Proxy) LoseAnswers() (lost <-chan struct{}, stop func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := make(chan struct{})
	p.mute, p.lost = true, first
	return first, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mute = false
	}
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
