package egoactor_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/internal/egoactor"
)

// What GoAkt says comes one level lower, and nothing that it says ends the process.
func TestLogger(t *testing.T) { // G11, G12
	t.Parallel()
	var text bytes.Buffer
	to := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug - 4, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	logger := egoactor.Logger(to)
	for level, say := range map[string]struct {
		plain     func(...any)
		formatted func(string, ...any)
	}{
		"DEBUG-4": {logger.Debug, logger.Debugf},
		"DEBUG":   {logger.Info, logger.Infof},
		"INFO":    {logger.Warn, logger.Warnf},
		"WARN":    {logger.Error, logger.Errorf},
		"ERROR":   {logger.Fatal, logger.Fatalf},
	} {
		text.Reset()
		say.plain("one")
		say.formatted("%d", 2)
		require.Equal(t, "level="+level+" msg=one component=goakt\nlevel="+level+" msg=2 component=goakt\n", text.String())
	}
	text.Reset()
	logger.Error("(actor address=goakt://x@10.0.0.4:7000/ego-gateway-dn8q) address not found") // as GoAkt says it
	logger.Error("(actor address=goakt://x@10.0.0.4:7000/another) address not found")
	require.Regexp(t, `^level=DEBUG .*\nlevel=WARN .*\n$`, text.String())
	text.Reset()
	require.Panics(t, func() { logger.Panic("no") })
	require.Panics(t, func() { logger.Panicf("%s", "no") })
	require.Equal(t, "level=ERROR msg=no component=goakt\nlevel=ERROR msg=no component=goakt\n", text.String())
}
