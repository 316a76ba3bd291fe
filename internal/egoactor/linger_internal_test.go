package egoactor

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// newLoungeCell returns a cell of a host whose lounge ticks only when it is told to.
func newLoungeCell(host *Host, last uint32) *Cell {
	return &Cell{id: "a", host: host, scheduled: true, linger: linger{last: last}}
}

func newLoungeHost() *Host {
	host := new(Host)
	host.lounge.wake = make(chan struct{}, 1)
	host.lounge.tick.Store(2)
	return host
}

func TestLinger(t *testing.T) {
	t.Parallel()
	parked := func(c *Cell) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.linger.parked
	}
	park := func(t *testing.T, c *Cell) (resumed chan bool) {
		t.Helper()
		resumed = make(chan bool, 1)
		go func() { resumed <- c.lingers() }()
		require.Eventually(t, func() bool { return parked(c) }, patience, tick)
		return resumed
	}

	t.Run("OnlyTheBusy", func(t *testing.T) {
		t.Parallel()
		c := newLoungeCell(newLoungeHost(), 0)
		require.False(t, c.lingers(), "its last burst was two ticks ago")
		resumed := park(t, c)
		c.call(c.callLocked())
		require.True(t, <-resumed)
	})
	t.Run("UntilATickWithoutARequest", func(t *testing.T) {
		t.Parallel()
		host := newLoungeHost()
		c := newLoungeCell(host, 2)
		resumed := park(t, c)
		host.lounge.look(3)
		require.True(t, parked(c))
		host.lounge.look(4)
		require.False(t, <-resumed)
		require.True(t, host.lounge.empty())
	})
	t.Run("NotWithWorkToDo", func(t *testing.T) {
		t.Parallel()
		c := newLoungeCell(newLoungeHost(), 2)
		c.due = true
		require.False(t, c.lingers())
	})
	t.Run("NotWhenItIsToLeave", func(t *testing.T) {
		t.Parallel()
		c := newLoungeCell(newLoungeHost(), 2)
		resumed := park(t, c)
		require.False(t, c.evict())
		require.False(t, <-resumed)
		require.False(t, c.lingers())
	})
	t.Run("NotMoreThanThereIsRoomFor", func(t *testing.T) {
		t.Parallel()
		host := newLoungeHost()
		host.lounge.cells = make([]*Cell, maxLinger)
		require.False(t, newLoungeCell(host, 2).lingers())
	})
}
