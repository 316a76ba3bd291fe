package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// fire calls the handler of a timer and removes the timer when that succeeds or has been given up.
func (s *Service) fire(timer *egopb.Timer) {
	handler, known := s.config.Handlers[timer.GetKind()]
	if !known {
		return
	}
	if err := s.handle(handler, timer); err != nil && !errors.Is(err, ErrAbandoned) {
		if s.ctx.Err() != nil {
			s.leave(timer)
			return
		}
		s.log(timer, err)
		return
	}
	s.completer.complete(timer)
}

func (s *Service) handle(handler Handler, timer *egopb.Timer) (err error) {
	if s.config.Fired != nil {
		late := s.config.Now().Sub(time.Unix(0, timer.GetDueUnixNano()))
		defer func() { s.config.Fired(timer, late, err) }()
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("timer: the handler panicked: %v\n%s", value, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(s.ctx, s.config.Claim*2/3)
	defer cancel()
	return handler(ctx, timer)
}

func (s *Service) log(timer *egopb.Timer, err error) {
	s.config.Logger.LogAttrs(context.Background(), slog.LevelWarn, "a timer will fire again", slog.String("owner", timer.GetOwner()),
		slog.String("timer", timer.GetName()), slog.Any("error", err))
}
