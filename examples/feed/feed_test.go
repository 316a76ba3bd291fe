package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/persistence/memory"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A watched site remembers where its readers resume, and can be down.
type watched struct {
	http.Handler
	down    atomic.Bool
	mu      sync.Mutex
	resumed []string // Last-Event-ID of each request for events
}

func (s *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		panic(http.ErrAbortHandler)
	}
	if strings.HasPrefix(r.URL.Path, "/events") {
		s.mu.Lock()
		s.resumed = append(s.resumed, r.Header.Get("Last-Event-ID"))
		s.mu.Unlock()
	}
	s.Handler.ServeHTTP(w, r)
}

func (s *watched) resumes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.resumed...)
}

// TestBrowser shows the page in a real browser, cuts it off, and expects every event once.
func TestBrowser(t *testing.T) {
	t.Parallel()
	engine := ego.NewEngine("feed", memory.NewStore())
	require.NoError(t, engine.Start(t.Context()))
	stop := sync.OnceValue(func() error { return engine.Stop(context.Background()) })
	t.Cleanup(func() { require.NoError(t, stop()) })
	page, err := newSite(engine)
	require.NoError(t, err)
	site := &watched{Handler: page}
	server := httptest.NewServer(site)
	t.Cleanup(func() {
		require.NoError(t, stop()) // that ends the feeds
		server.Close()
	})

	var want []string
	add := func(count int) {
		for range count {
			b := &box{fmt.Sprintf("box-%d", len(want)%3)}
			require.NoError(t, engine.Entity(t.Context(), b))
			_, number, err := engine.SendCommand(t.Context(), b.id, wrapperspb.Int64(1), patience)
			require.NoError(t, err)
			want = append(want, fmt.Sprintf("%s #%d", b.id, number))
		}
	}
	add(4)
	tab := openTab(t, server.URL)
	if tab == nil {
		return
	}
	shown := func() (events []string) {
		tab.eval(`[...document.querySelectorAll("#events li")].map(li => li.textContent.split(" ").slice(0, 2).join(" ")).reverse()`, &events)
		return events
	}
	requireShown := func() {
		t.Helper()
		require.Eventually(t, func() bool { return len(shown()) >= len(want) }, patience, 50*time.Millisecond)
		require.ElementsMatch(t, want, shown(), "every event once")
		for i := range 3 {
			box := func(events []string) (of []string) {
				for _, event := range events {
					if strings.HasPrefix(event, fmt.Sprintf("box-%d ", i)) {
						of = append(of, event)
					}
				}
				return of
			}
			require.Equal(t, box(want), box(shown()), "in order")
		}
	}
	requireShown() // what was there before
	add(6)
	requireShown() // what comes while it looks

	site.down.Store(true)
	server.CloseClientConnections()
	add(5)
	site.down.Store(false)
	requireShown() // what came while it was cut off
	add(5)
	requireShown()
	resumes := site.resumes()
	require.GreaterOrEqual(t, len(resumes), 2)
	require.Empty(t, resumes[0])
	require.NotEmpty(t, resumes[len(resumes)-1], "it resumed by where it was")
	var state string
	tab.eval(`document.getElementById("state").textContent`, &state)
	require.Equal(t, "connected", state)
}
