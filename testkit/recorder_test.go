package testkit_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/testaccount"
)

// recorder is a test that may fail. It fails the real test when a failure does not point at a line of a test.
type recorder struct {
	testing.TB // the real one
	helpers    map[string]bool
	failures   []string
	cleanups   []func()
}

// failuresOf runs a scenario in a test of its own and returns the messages with which that failed.
func failuresOf(t *testing.T, scenario func(tb testing.TB)) []string {
	t.Helper()
	r := &recorder{TB: t, helpers: map[string]bool{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, cleanup := range slices.Backward(r.cleanups) {
				cleanup()
			}
		}()
		scenario(r)
	}()
	<-done
	return r.failures
}

// failureOf is failuresOf for a scenario that fails once.
func failureOf(t *testing.T, scenario func(tb testing.TB)) string {
	t.Helper()
	failures := failuresOf(t, scenario)
	require.Len(t, failures, 1)
	return failures[0]
}

// requirePasses runs a scenario that does not fail.
func requirePasses(t *testing.T, scenario func(tb testing.TB)) {
	t.Helper()
	require.Empty(t, failuresOf(t, scenario))
}

func (r *recorder) Helper() {
	pc, _, _, _ := runtime.Caller(1)
	r.helpers[runtime.FuncForPC(pc).Name()] = true
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Failed() bool { return len(r.failures) > 0 }

func (r *recorder) Errorf(format string, args ...any) { r.record(format, args...) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.record(format, args...)
	runtime.Goexit()
}

// record remembers a failure after finding the line that it is reported for, as the testing package does.
func (r *recorder) record(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)]) // without Callers, record and its caller
	for {
		frame, more := frames.Next()
		if !r.helpers[frame.Function] {
			if !strings.HasSuffix(frame.File, "_test.go") {
				r.TB.Errorf("the failure is reported for %s:%d", filepath.Base(frame.File), frame.Line)
			}
			return
		}
		if !more {
			r.TB.Errorf("the failure is reported for no line")
			return
		}
	}
}

// account is the account of testaccount, with methods that a test can replace.
type account struct {
	*testaccount.Account
	id      func() string
	initial func() proto.Message
	command func(ctx context.Context, command, prior proto.Message) ([]proto.Message, error)
	event   func(ctx context.Context, event, prior proto.Message) (proto.Message, error)
}

func (a *account) ID() string {
	if a.id != nil {
		return a.id()
	}
	return "a"
}

func (a *account) InitialState() proto.Message {
	if a.initial != nil {
		return a.initial()
	}
	return a.Account.InitialState()
}

func (a *account) HandleCommand(ctx context.Context, command, prior proto.Message) ([]proto.Message, error) {
	if a.command != nil {
		return a.command(ctx, command, prior)
	}
	return a.Account.HandleCommand(ctx, command, prior)
}

func (a *account) HandleEvent(ctx context.Context, event, prior proto.Message) (proto.Message, error) {
	if a.event != nil {
		return a.event(ctx, event, prior)
	}
	return a.Account.HandleEvent(ctx, event, prior)
}

// purse is the purse of testaccount, with a handler that a test can replace.
type purse struct {
	*testaccount.Purse
	command func(ctx context.Context, command, prior proto.Message, revision uint64) (proto.Message, error)
}

func (p *purse) HandleCommand(ctx context.Context, command, prior proto.Message, revision uint64) (proto.Message, error) {
	if p.command != nil {
		return p.command(ctx, command, prior, revision)
	}
	return p.Purse.HandleCommand(ctx, command, prior, revision)
}

func newPurse() *purse { return &purse{Purse: testaccount.NewPurse("p")} }

// plain replaces the space after the name of protobuf, which protobuf varies so that nobody relies on its messages.
func plain(message string) string { return strings.ReplaceAll(message, "proto:\u00a0", "proto: ") }
