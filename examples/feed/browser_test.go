package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A tab is a page in a headless Chromium, which is told what to do over its DevTools pipe.
type tab struct {
	t       testing.TB
	to      *os.File
	from    *bufio.Reader
	session string
	calls   int
}

// openTab opens a page, or returns nil when there is no Chromium and there need not be one.
func openTab(t testing.TB, url string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		require.Empty(t, os.Getenv("EGO_REQUIRE_SERVICES"), "chromium is missing: apt-get install chromium")
		t.Log("chromium is missing, so no browser shows the page: apt-get install chromium")
		return nil
	}
	theirIn, to, err := os.Pipe()
	require.NoError(t, err)
	from, theirOut, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as Chromium wants them
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and all its helpers
		_ = cmd.Wait()
		_, _ = to.Close(), from.Close()
	})
	require.NoError(t, errors.Join(theirIn.Close(), theirOut.Close()))
	b := &tab{t: t, to: to, from: bufio.NewReader(from)}
	context.AfterFunc(within(t), func() { _ = from.Close() }) // so that no call waits for ever
	var made struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": url}, &made)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": made.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	return b
}

// call calls a method of the DevTools protocol: a JSON object each way, ended by a zero.
func (b *tab) call(method string, params, result any) {
	b.t.Helper()
	b.calls++
	request := map[string]any{"id": b.calls, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	data, err := json.Marshal(request)
	require.NoError(b.t, err)
	_, err = b.to.Write(append(data, 0))
	require.NoError(b.t, err)
	for {
		data, err := b.from.ReadBytes(0)
		require.NoError(b.t, err, method)
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		require.NoError(b.t, json.Unmarshal(data[:len(data)-1], &answer))
		if answer.ID != b.calls {
			continue // an event
		}
		require.Nil(b.t, answer.Error, method)
		require.NoError(b.t, json.Unmarshal(answer.Result, result))
		return
	}
}

// eval returns the value of an expression in the page.
func (b *tab) eval(expression string, value any) {
	b.t.Helper()
	var of struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &of)
	require.Nil(b.t, of.ExceptionDetails, expression)
	require.NoError(b.t, json.Unmarshal(of.Result.Value, value))
}
