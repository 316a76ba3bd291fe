package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// serveEvents streams server-sent events.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request, stream publisher.Stream, request *Request) {
	origin := r.Header.Get("Origin")
	if !allowed(origin, r.Host, h.config.Origins) {
		http.Error(w, "pages of this origin may not connect", http.StatusForbidden)
		return
	}
	if origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Add("Vary", "Origin")
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	s := &eventSender{w: w, control: http.NewResponseController(w), timeout: h.config.WriteTimeout}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if s.write(": hello\nretry: 1000\n\n") != nil {
		return
	}
	var pinging sync.WaitGroup
	pinging.Go(func() {
		for {
			select {
			case <-time.After(h.config.PingInterval):
			case <-ctx.Done():
				return
			}
			if s.write(": ping\n\n") != nil {
				cancel()
				return
			}
		}
	})
	if err := h.follow(ctx, stream, request, s); errors.Is(err, errSlow) {
		_ = s.write("event: slow\ndata: too slow; resume\n\n") // the connection ends either way
	}
	cancel()
	pinging.Wait()
}

// allowed reports whether a page of an origin may connect to a host.
func allowed(origin, host string, patterns []string) bool {
	if origin == "" {
		return true // no browser, or its own page
	}
	parsed, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if parsed.Host == host {
		return true
	}
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, parsed.Host); err == nil && ok {
			return true
		}
	}
	return false
}

// An eventSender writes server-sent events.
type eventSender struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

func (s *eventSender) send(_ context.Context, frame *egopb.Frame) error {
	data, err := protojson.Marshal(frame)
	if err != nil {
		return &encodeError{err}
	}
	name := "progress"
	switch frame.GetContent().(type) {
	case *egopb.Frame_Event:
		name = "event"
	case *egopb.Frame_State:
		name = "state"
	}
	return s.write(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", frame.GetCursor(), name, data))
}

func (s *eventSender) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.control.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
