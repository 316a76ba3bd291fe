package websocket

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/publisher"
)

// A Handler streams to clients, see package websocket.
type Handler struct {
	config  HandlerConfig
	clients atomic.Int64
}

// NewHandler returns a handler. The error says all that is wrong with the configuration.
func NewHandler(config HandlerConfig) (*Handler, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	return &Handler{config: config.withDefaults()}, nil
}

// Clients returns how many clients are connected.
func (h *Handler) Clients() int { return int(h.clients.Load()) }

// ServeHTTP serves a WebSocket or server-sent events, for as long as the client stays and the engine runs.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "only GET is served", http.StatusMethodNotAllowed)
		return
	}
	request, err := parse(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.config.Authorize(r, request); err != nil {
		status := http.StatusForbidden
		if with, ok := errors.AsType[*StatusError](err); ok {
			status = with.Status
		}
		http.Error(w, err.Error(), status)
		return
	}
	stream := h.config.Events
	if request.States {
		stream = h.config.States
	}
	if stream == nil {
		http.Error(w, "there is no such stream", http.StatusNotFound)
		return
	}
	if n := h.clients.Add(1); h.config.MaxClients > 0 && n > int64(h.config.MaxClients) {
		h.clients.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many clients", http.StatusServiceUnavailable)
		return
	}
	defer h.clients.Add(-1)
	if request.Now {
		if request.Cursor, err = stream.Now(r.Context()); err != nil {
			http.Error(w, "the stream cannot be read now", http.StatusServiceUnavailable)
			return
		}
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		h.serveSocket(w, r, stream, request)
	} else {
		h.serveEvents(w, r, stream, request)
	}
}

// A sender puts frames on a connection. It returns an error when the connection is over.
type sender interface {
	send(ctx context.Context, frame *egopb.Frame) error
}

// errSlow ends a client that takes too long.
var errSlow = errors.New("websocket: the client is too slow")

// follow sends a stream until the context ends, the connection is over, or the stream.
func (h *Handler) follow(ctx context.Context, stream publisher.Stream, request *Request, to sender) error {
	cursor := request.Cursor
	if cursor == nil {
		cursor = make(publisher.Cursor)
	}
	var (
		passed  int
		failure error
	)
	for item, err := range stream.After(ctx, cursor, request.Selection) {
		if err != nil {
			if failure = err; ctx.Err() == nil {
				h.config.Logger.LogAttrs(ctx, slog.LevelError, "a feed has met an error", slog.Any("error", err))
			}
			continue
		}
		cursor[item.Shard] = item.Position
		if item.Event == nil && item.State == nil {
			if passed++; passed < tellEvery {
				continue
			}
		}
		passed = 0
		began := time.Now()
		err = to.send(ctx, frameOf(item, cursor))
		if _, broken := errors.AsType[*encodeError](err); broken {
			h.config.Logger.LogAttrs(ctx, slog.LevelError, "an event cannot be sent to a feed", slog.Any("error", err))
		} else if err != nil {
			return err
		}
		if time.Since(began) > h.config.SlowAfter {
			return errSlow
		}
	}
	return failure
}

// An encodeError is a frame that no client can be sent.
type encodeError struct{ err error }

func (e *encodeError) Error() string { return "websocket: " + e.err.Error() }
func (e *encodeError) Unwrap() error { return e.err }

// tellEvery is how many records in a row may be passed over before a client is told how far its stream has come.
const tellEvery = 1000

func frameOf(item *publisher.Item, cursor publisher.Cursor) *egopb.Frame {
	frame := &egopb.Frame{Cursor: cursor.String()}
	switch {
	case item.Event != nil:
		frame.Content = &egopb.Frame_Event{Event: item.Event}
	case item.State != nil:
		frame.Content = &egopb.Frame_State{State: item.State}
	}
	return frame
}
