package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/netns"
	"github.com/actorkeep/ego/internal/pgtest"
)

const (
	patience = 2 * time.Minute

	nobody    = "65532" // the user of the image
	namespace = "default.svc.cluster.local"
)

// A pod is a process that has an address of its own and is started as the manifests say.
type pod struct {
	t    *testing.T
	host *netns.Host
	cmd  *exec.Cmd
}

// pods are those of one deployment.
type pods struct {
	t       *testing.T
	network *netns.Network
	names   *names
	program string
	args    []string
	store   string
	client  *http.Client
	listed  []*pod // what the name of the headless service stands for
}

func newPods(t *testing.T) *pods {
	t.Helper()
	network := netns.New(t)
	if network == nil {
		return nil
	}
	manifest, err := os.ReadFile("kubernetes/bank.yaml")
	require.NoError(t, err)
	p := &pods{t: t, network: network, program: program(t), store: storeURL(t)}
	for _, argument := range regexp.MustCompile(`(?m)^ {12}- (-\S+)$`).FindAllSubmatch(manifest, -1) {
		p.args = append(p.args, string(argument[1]))
	}
	require.Contains(t, p.args, "-dns=bank-nodes")
	p.names = serveNames(t, network, "bank-nodes."+namespace+".")
	transport := &http.Transport{DialContext: func(ctx context.Context, kind, address string) (net.Conn, error) {
		return network.Dial(ctx, kind, address)
	}}
	p.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return p
}

// storeURL starts a server that every user may ask.
func storeURL(t *testing.T) string {
	t.Helper()
	server := pgtest.Start(t, pgtest.Config{})
	require.NoError(t, os.Chmod(server.Dir(), 0o755)) // its socket is there
	return "postgres://postgres@/postgres?host=" + server.Dir()
}

// start starts a pod. It is listed from then on, ready or not.
func (p *pods) start() *pod {
	p.t.Helper()
	host := p.network.Plug()
	host.Resolve("nameserver " + netns.Gateway + "\nsearch " + namespace + "\noptions ndots:5\n")
	home, err := os.MkdirTemp("", "ego-pod") // another user must be able to get there
	require.NoError(p.t, err)
	p.t.Cleanup(func() { require.NoError(p.t, os.RemoveAll(home)) })
	require.NoError(p.t, os.Chmod(home, 0o777)) // as the volume of the manifest

	command := append(host.Command(), "setpriv", "--reuid="+nobody, "--regid="+nobody, "--clear-groups", p.program)
	for _, argument := range p.args {
		command = append(command, strings.ReplaceAll(argument, "$(POD_IP)", host.Address))
	}
	started := &pod{t: p.t, host: host, cmd: exec.Command(command[0], command[1:]...)}
	started.cmd.Dir = "/"
	started.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), programEnv + "=1", "HOME=" + home, "POD_IP=" + host.Address, "STORE=" + p.store}
	started.cmd.Stderr = p.t.Output()
	started.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.list(append(p.listed, started)...)
	require.NoError(p.t, started.cmd.Start())
	p.t.Cleanup(started.kill)
	return started
}

// program is a copy of the test binary that every user may run.
func program(t *testing.T) string {
	t.Helper()
	own, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "ego-bank") //nolint:usetesting // where every user gets
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "bank")
	require.NoError(t, os.WriteFile(path, own, 0o755))
	return path
}

// list says what the name of the headless service stands for.
func (p *pods) list(listed ...*pod) {
	p.listed = listed
	addresses := make([]string, len(listed))
	for i, l := range listed {
		addresses[i] = l.host.Address
	}
	p.names.set(addresses...)
}

// kill ends the process at once, if it still runs.
func (d *pod) kill() {
	if d.cmd.ProcessState == nil {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	}
}

// terminate ends the process as Kubernetes does and waits for it.
func (d *pod) terminate() {
	d.t.Helper()
	require.NoError(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(d.t, d.cmd.Wait())
}

// ask sends a request to the front of a pod, and returns the status and what came back. The status is 0 when nothing answers.
func (p *pods) ask(d *pod, method, path, key string) (status int, body map[string]any) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+d.host.Address+":8080"+path, nil)
	require.NoError(p.t, err)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	_ = json.Unmarshal(content, &body) // an error is plain text
	return response.StatusCode, body
}

// await waits until a question to a pod has an answer.
func (p *pods) await(d *pod, path string, is func(status int, body map[string]any) bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		status, body := p.ask(d, http.MethodGet, path, "")
		if is(status, body) {
			return
		}
		select {
		case <-deadline:
			require.Fail(p.t, "waited in vain", "%s says %d %v", path, status, body)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
