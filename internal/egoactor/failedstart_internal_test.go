package egoactor

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	goakt "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/remote"
)

// GoAkt leaves a system whose start failed marked as starting, and does not stop it.
func TestStopFailed(t *testing.T) { // G12
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	system, err := goakt.NewActorSystem("failed", goakt.WithLogger(Logger(slog.New(slog.DiscardHandler))),
		goakt.WithRemote(remote.NewConfig("127.0.0.1", port)))
	require.NoError(t, err)
	require.NoError(t, system.Start(context.Background()))
	mark(system, "started").Store(false)
	mark(system, "starting").Store(true)
	require.Error(t, stopSystem(system), "stopFailed is needed no more")

	stopFailed(system)
	listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	require.NoError(t, err, "the port is free again")
	require.NoError(t, listener.Close())
	require.Nil(t, mark(system, "no such mark"))
}
