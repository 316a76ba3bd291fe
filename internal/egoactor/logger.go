package egoactor

import (
	"context"
	"fmt"
	golog "log" //nolint:depguard // GoAkt asks for one
	"log/slog"
	"strings"

	goaktlog "github.com/tochemey/goakt/v3/log"
)

// levelTrace is below debugging: GoAkt tells of every step of every actor.
const levelTrace = slog.LevelDebug - 4

// Logger makes a logger of GoAkt's of one of ours. What GoAkt says is about its actors and its cluster, and what matters to ego
// in it comes back as an error, so it is logged one level lower than GoAkt would: its errors are warnings, what it warns of is
// information, its information is for debugging. What GoAkt would end the process for is an error, and the process goes on; a
// panic is logged and panics. That a peer has greeted a node which has not opened its gateway yet is for debugging: the peer
// tries again.
func Logger(to *slog.Logger) goaktlog.Logger {
	return logger{goaktlog.DiscardLogger, to.With("component", "goakt")}
}

type logger struct {
	goaktlog.Logger // what remains of its methods
	to              *slog.Logger
}

func (l logger) Debug(v ...any)            { l.log(levelTrace, v) }
func (l logger) Debugf(f string, v ...any) { l.logf(levelTrace, f, v) }
func (l logger) Info(v ...any)             { l.log(slog.LevelDebug, v) }
func (l logger) Infof(f string, v ...any)  { l.logf(slog.LevelDebug, f, v) }
func (l logger) Warn(v ...any)             { l.log(slog.LevelInfo, v) }
func (l logger) Warnf(f string, v ...any)  { l.logf(slog.LevelInfo, f, v) }
func (l logger) Error(v ...any)            { l.log(slog.LevelWarn, v) }
func (l logger) Errorf(f string, v ...any) { l.logf(slog.LevelWarn, f, v) }
func (l logger) Fatal(v ...any)            { l.log(slog.LevelError, v) }
func (l logger) Fatalf(f string, v ...any) { l.logf(slog.LevelError, f, v) }

func (l logger) Panic(v ...any) {
	l.log(slog.LevelError, v)
	l.Logger.Panic(v...)
}

func (l logger) Panicf(f string, v ...any) {
	l.logf(slog.LevelError, f, v)
	l.Logger.Panicf(f, v...)
}

// StdLogger returns what the libraries under GoAkt log to.
func (l logger) StdLogger() *golog.Logger { return slog.NewLogLogger(l.to.Handler(), levelTrace) }

func (l logger) log(level slog.Level, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.say(level, fmt.Sprint(v...))
	}
}

func (l logger) logf(level slog.Level, format string, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.say(level, fmt.Errorf(format, v...).Error()) //nolint:err113 // some of its formats wrap errors
	}
}

func (l logger) say(level slog.Level, message string) {
	if strings.Contains(message, "/"+gatewayPrefix) && strings.HasSuffix(message, "address not found") {
		level = slog.LevelDebug
	}
	l.to.LogAttrs(context.Background(), level, message) //nolint:sloglint // the message is GoAkt's
}
