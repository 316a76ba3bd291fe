package main

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/actorkeep/ego/internal/netns"
)

// names is a name server that knows the addresses of one name, as that of Kubernetes knows those of a headless service.
type names struct {
	name string

	mu        sync.Mutex
	addresses []string
	asked     int
}

// serveNames starts a name server at the gateway of a network.
func serveNames(t *testing.T, network *netns.Network, name string) *names {
	t.Helper()
	var conn net.PacketConn
	require.NoError(t, network.Inside(func() (err error) {
		conn, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp4", netns.Gateway+":53")
		return err
	}))
	n := &names{name: name}
	var serving sync.WaitGroup
	serving.Go(func() { n.serve(conn) })
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		serving.Wait()
	})
	return n
}

// set says what the addresses are from now on.
func (n *names) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = slices.Clone(addresses)
}

// questions counts those for the name.
func (n *names) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *names) serve(conn net.PacketConn) {
	packet := make([]byte, 512)
	for {
		size, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var message dnsmessage.Message
		if message.Unpack(packet[:size]) != nil || len(message.Questions) != 1 {
			continue
		}
		n.answer(&message)
		if reply, err := message.Pack(); err == nil {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

// answer makes a question its own answer.
func (n *names) answer(m *dnsmessage.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if asked.Name.String() != n.name || len(n.addresses) == 0 {
		m.RCode = dnsmessage.RCodeNameError
		return
	}
	n.asked++
	if asked.Type != dnsmessage.TypeA {
		return
	}
	for _, address := range n.addresses {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: 5},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(address).To4())},
		})
	}
}
