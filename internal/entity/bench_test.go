package entity_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/actorkeep/ego/internal/entity"
	"github.com/actorkeep/ego/internal/envelope"
	"github.com/actorkeep/ego/internal/journal"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

func BenchmarkProcess(b *testing.B) {
	store := memory.NewStore()
	_ = store.Connect(b.Context())
	j := journal.New(journal.Config{Store: store})
	shared := &entity.Shared{Journal: j, Events: store, Codec: new(envelope.Codec), WriterID: "w", Logger: slog.Default(), Now: time.Now, RecoveryTimeout: time.Minute}
	e := entity.NewEventSourced("a", "account", testaccount.New("a"), &entity.Settings{DedupWindow: 128}, shared)
	ctx := context.Background()
	cmd := &testpb.Deposit{Amount: 1}
	b.ReportAllocs()
	for b.Loop() {
		r := entity.NewRequest(ctx, proto.Clone(cmd), nil)
		e.Process(ctx, r)
		<-r.Done()
		if _, _, err := r.Answer(); err != nil {
			b.Fatal(err)
		}
	}
}
