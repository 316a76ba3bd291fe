package ego_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/sqlite"
)

// discarding is a publisher whose broker takes everything at once.
type discarding struct{ id string }

func (d *discarding) ID() string                                         { return d.id }
func (d *discarding) Publish(context.Context, *egopb.Event) error        { return nil }
func (d *discarding) PublishBatch(context.Context, []*egopb.Event) error { return nil }
func (d *discarding) Close(context.Context) error                        { return nil }

// BenchmarkPublishersBesideCommands sends durable commands one at a time, with no publisher and with four.
func BenchmarkPublishersBesideCommands(b *testing.B) {
	for _, count := range []int{0, 4} {
		b.Run(fmt.Sprintf("publishers=%d", count), func(b *testing.B) {
			store, err := sqlite.Open(b.TempDir() + "/journal.db")
			require.NoError(b, err)
			require.NoError(b, store.Connect(b.Context()))
			b.Cleanup(func() { require.NoError(b, store.Disconnect(context.Background())) })
			engine := startEngine(b, store)
			for i := range count {
				require.NoError(b, engine.AddEventPublishers(&discarding{fmt.Sprintf("p%d", i)}))
			}
			open(b, engine, "a")
			for b.Loop() {
				_, _, err := engine.SendCommand(b.Context(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
				require.NoError(b, err)
			}
		})
	}
}
