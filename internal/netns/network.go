package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Gateway is the address of the test itself on the network; see [Network.Inside].
const Gateway = "10.77.0.254"

// A Network is a pair of bridges in a network namespace, to which the namespaces of hosts are plugged: hosts at different
// bridges do not reach each other. There are two, so that several hosts can be cut off together. Its methods are not for
// concurrent use, apart from [Network.Inside] and [Network.Dial].
type Network struct {
	t    testing.TB
	name string
	used int
}

// A Host is a namespace with an address.
type Host struct {
	Namespace string
	Address   string

	network *Network
	port    string
}

// networks counts those of this process.
var networks atomic.Int64 //nolint:gochecknoglobals // names are those of the machine

// New returns a network without hosts, which is removed with the test. It is nil where namespaces cannot be made, which is a
// failure when EGO_REQUIRE_SERVICES is 1.
func New(t testing.TB) *Network {
	t.Helper()
	n := &Network{t: t, name: fmt.Sprintf("ego%d-%d", os.Getpid(), networks.Add(1))}
	if out, err := n.try("netns", "add", n.name); err != nil {
		require.NotEqual(t, "1", os.Getenv("EGO_REQUIRE_SERVICES"), "no network namespaces: %v %s", err, out)
		t.Logf("network namespaces cannot be made here, so nothing is tested: %v %s", err, out)
		return nil
	}
	t.Cleanup(func() { n.ip("netns", "del", n.name) })
	n.ip("-n", n.name, "link", "set", "lo", "up")
	for _, bridge := range []string{"main", "apart"} {
		n.ip("-n", n.name, "link", "add", bridge, "type", "bridge", "forward_delay", "0")
		n.ip("-n", n.name, "link", "set", bridge, "up")
	}
	n.ip("-n", n.name, "addr", "add", Gateway+"/24", "dev", "main")
	return n
}

// Plug makes a host.
func (n *Network) Plug() *Host {
	n.t.Helper()
	n.used++
	h := &Host{
		Namespace: fmt.Sprintf("%s-%d", n.name, n.used), Address: fmt.Sprintf("10.77.0.%d", n.used),
		network: n, port: fmt.Sprint("port", n.used),
	}
	n.ip("netns", "add", h.Namespace)
	n.t.Cleanup(func() { n.ip("netns", "del", h.Namespace) })
	n.ip("-n", n.name, "link", "add", h.port, "type", "veth", "peer", "name", "eth0", "netns", h.Namespace)
	n.ip("-n", n.name, "link", "set", h.port, "master", "main", "up")
	n.ip("-n", h.Namespace, "addr", "add", h.Address+"/24", "dev", "eth0")
	n.ip("-n", h.Namespace, "link", "set", "eth0", "up")
	n.ip("-n", h.Namespace, "link", "set", "lo", "up")
	return h
}

// CutOff takes the host away from the others. Hosts that are cut off reach each other.
func (h *Host) CutOff() {
	h.network.t.Helper()
	h.network.ip("-n", h.network.name, "link", "set", h.port, "master", "apart")
}

// Heal brings the host back.
func (h *Host) Heal() {
	h.network.t.Helper()
	h.network.ip("-n", h.network.name, "link", "set", h.port, "master", "main")
}

// Command is what runs a program on the host: put before its own command line.
func (h *Host) Command() []string { return []string{"ip", "netns", "exec", h.Namespace} }

// Resolve gives programs that [Host.Command] starts on the host another /etc/resolv.conf.
func (h *Host) Resolve(configuration string) {
	t := h.network.t
	t.Helper()
	dir := "/etc/netns/" + h.Namespace          // where ip looks for it
	require.NoError(t, os.MkdirAll(dir, 0o755)) //nolint:gosec // for every user
	t.Cleanup(func() {
		require.NoError(t, os.RemoveAll(dir))
		_ = os.Remove(filepath.Dir(dir)) // if nobody else uses it
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(configuration), 0o644)) //nolint:gosec // for every user
}

// Dial connects to a host.
func (n *Network) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	failed := n.Inside(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, failed
}

func (n *Network) ip(args ...string) {
	n.t.Helper()
	out, err := n.try(args...)
	require.NoError(n.t, err, "ip %s: %s", strings.Join(args, " "), out)
}

func (n *Network) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput() //nolint:gosec // of the test
	return string(out), err
}
