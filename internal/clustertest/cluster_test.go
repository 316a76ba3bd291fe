package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/pgtest"
)

// patience is how long anything may take that a working cluster does much sooner.
const patience = 2 * time.Minute

// testCluster is a cluster of processes.
type testCluster struct {
	t      testing.TB
	nodes  []*testNode
	echoes bool // the second node has an actor for benchmarkBare
}

// testNode is a node, whether its process runs or not.
type testNode struct {
	t      testing.TB
	name   string
	spec   nodeSpec
	wrap   []string // what the process is started with, such as ip netns exec
	client *http.Client
	out    atomic.Bool // clients are sent to the others

	mu   sync.Mutex
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended
}

// newCluster starts n nodes one after another on loopback.
func newCluster(t testing.TB, n int, change ...func(i int, spec *nodeSpec)) *testCluster {
	t.Helper()
	c := prepareCluster(t, n, change...)
	begin := time.Now()
	for _, node := range c.nodes {
		node.start()
		t.Logf("%s answers after %v", node.name, time.Since(begin))
	}
	c.awaitMembers(n, c.nodes...)
	t.Logf("all serve after %v", time.Since(begin))
	return c
}

// prepareCluster describes n nodes and starts none.
func prepareCluster(t testing.TB, n int, change ...func(i int, spec *nodeSpec)) *testCluster {
	t.Helper()
	dir, err := os.MkdirTemp("", "ego-cluster") //nolint:usetesting // the path of a test's own directory is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	c := &testCluster{t: t}
	ports := freePorts(t, 3*n)
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", ports[3*i]))
	}
	shared := sync.OnceValues(func() (url, schema string) { return pgtest.URL(t), pgtest.Schema(t) })
	for i := range n {
		spec := nodeSpec{
			Control: filepath.Join(dir, fmt.Sprint("node-", i)), Host: "127.0.0.1",
			Discovery: ports[3*i], Remoting: ports[3*i+1], Peers: ports[3*i+2], DiscoveryHosts: hosts, Quorum: n/2 + 1,
		}
		for _, apply := range change {
			apply(i, &spec)
		}
		if spec.URL == "" && spec.Mongo == "" {
			spec.URL, spec.Schema = shared()
		}
		c.nodes = append(c.nodes, newNode(t, fmt.Sprint("node-", i), spec))
	}
	return c
}

func newNode(t testing.TB, name string, spec nodeSpec) *testNode {
	n := &testNode{t: t, name: name, spec: spec}
	dialer := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", spec.Control)
	}
	transport := &http.Transport{DialContext: dialer, MaxIdleConnsPerHost: 64}
	n.client = &http.Client{Transport: transport}
	var err error
	n.log, err = os.CreateTemp(t.TempDir(), name)
	require.NoError(t, err)
	t.Cleanup(func() {
		n.kill()
		transport.CloseIdleConnections()
		if t.Failed() || os.Getenv("EGO_CLUSTER_LOG") != "" {
			_, _ = n.log.Seek(0, io.SeekStart)
			said, _ := io.ReadAll(n.log)
			t.Logf("%s said:\n%s", name, said)
		}
		_ = n.log.Close()
	})
	return n
}

// nextPort is the port that a test tries next. Its range is outside the one that the system hands out by itself.
var nextPort atomic.Int64

// freePorts returns ports that nothing listens on and no other test of this process has.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	nextPort.CompareAndSwap(0, int64(10_000+os.Getpid()%400*50))
	for len(ports) < n {
		port := int(nextPort.Add(1))
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		ports = append(ports, port)
	}
	return ports
}

// start starts the process and waits until it answers.
func (n *testNode) start() {
	n.t.Helper()
	n.launch()
	await(n.t, n.name+" answers", func() bool {
		_, err := n.call(n.t.Context(), call{Op: "topology"})
		return err == nil
	})
}

// launch starts the process.
func (n *testNode) launch() {
	n.t.Helper()
	encoded, err := json.Marshal(n.spec)
	require.NoError(n.t, err)
	_ = os.Remove(n.spec.Control)
	command := append(slices.Clone(n.wrap), os.Args[0])
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(encoded))
	cmd.Stdout, cmd.Stderr = n.log, n.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(n.t, cmd.Start())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	n.mu.Lock()
	n.cmd, n.done = cmd, done
	n.mu.Unlock()
}

// signal sends a signal to the process.
func (n *testNode) signal(s syscall.Signal) {
	n.t.Helper()
	require.NoError(n.t, n.cmd.Process.Signal(s))
}

// kill ends the process at once.
func (n *testNode) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.done
	n.cmd = nil
}

// stop stops the engine and waits for the process.
func (n *testNode) stop() {
	n.t.Helper()
	a, err := n.call(n.t.Context(), call{Op: "stop"})
	require.NoError(n.t, err)
	require.Empty(n.t, a.Error)
	select {
	case <-n.done:
	case <-time.After(patience):
		require.Fail(n.t, "the process does not end")
	}
	n.kill()
}

// call asks the node for something. It fails when the node does not answer.
func (n *testNode) call(ctx context.Context, c call) (answer, error) {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+2*time.Second)
	defer cancel()
	body, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/call", bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	response, err := n.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer{}, errors.New(response.Status)
	}
	var a answer
	return a, json.NewDecoder(response.Body).Decode(&a)
}

// must asks the node for something that must succeed.
func (n *testNode) must(c call) answer {
	n.t.Helper()
	a, err := n.call(n.t.Context(), c)
	require.NoError(n.t, err)
	require.Empty(n.t, a.Error)
	return a
}

// awaitMembers waits until the given nodes all serve and see that many live members.
func (c *testCluster) awaitMembers(n int, nodes ...*testNode) {
	c.t.Helper()
	for _, node := range nodes {
		await(c.t, fmt.Sprintf("%s sees %d members", node.name, n), func() bool {
			a, err := node.call(c.t.Context(), call{Op: "topology"})
			return err == nil && a.Topology.Serving && len(a.Topology.Members) == n
		})
	}
}

// await waits until something is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !so() {
		select {
		case <-deadline:
			require.Fail(t, "waited in vain", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
