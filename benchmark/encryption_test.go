package benchmark

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/encryption"
	"github.com/actorkeep/ego/eventadapter"
	"github.com/actorkeep/ego/internal/testaccount"
	"github.com/actorkeep/ego/internal/testpb"
	"github.com/actorkeep/ego/persistence/memory"
)

// seals are the ways in which payloads are stored.
func seals(b *testing.B, store *memory.Store) map[string][]ego.Option {
	b.Helper()
	wrapper, err := encryption.NewLocalWrapper(encryption.MasterKey{ID: "m1", Secret: make([]byte, 32)})
	require.NoError(b, err)
	return map[string][]ego.Option{
		"plain": nil,
		"aes":   {ego.WithEncryption(encryption.NewAESEncryptor(store, encryption.WithWrapper(wrapper)))},
		"adapted": {ego.WithEventAdapters(eventadapter.Upcast(func(old *testpb.Deposited) (*testpb.Deposited, error) {
			return old, nil
		}, eventadapter.Versions(0, 0)))},
	}
}

// measureCPU reports the processor time per operation besides the time by the clock: what else runs on the machine does not
// count.
func measureCPU(b *testing.B) {
	b.Helper()
	before := cpuTime(b)
	b.Cleanup(func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") })
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

var sealNames = []string{"plain", "aes", "adapted"}

func startSealing(b *testing.B, store *memory.Store, seal string) *ego.Engine {
	b.Helper()
	engine := ego.NewEngine("benchmark", store, append(seals(b, store)[seal], ego.WithKinds(
		ego.EventSourcedKind("account", func(id string) ego.EventSourcedBehavior { return testaccount.New(id) })))...)
	require.NoError(b, engine.Start(context.Background()))
	b.Cleanup(func() { require.NoError(b, engine.Stop(context.Background())) })
	return engine
}

// BenchmarkSealedCommand compares commands whose events are stored plain and sealed, on the memory store.
func BenchmarkSealedCommand(b *testing.B) {
	for _, senders := range []int{1, 64} {
		for _, seal := range sealNames[:2] {
			b.Run(fmt.Sprintf("seal=%s/senders=%d", seal, senders), func(b *testing.B) {
				engine := startSealing(b, memory.NewStore(), seal)
				names := workload.IDs(1_000)
				for _, id := range names {
					require.NoError(b, engine.Entity(context.Background(), testaccount.New(id)))
					_, _, err := engine.SendCommand(context.Background(), id, &testpb.Deposit{Amount: 1}, time.Minute)
					require.NoError(b, err)
				}
				measureCPU(b)
				run(b, operations(func(i int) func() error {
					command := &testpb.Deposit{Amount: 1}
					i *= 7919 // far enough apart that senders do not walk in step
					return func() error {
						i++
						_, _, err := engine.SendCommand(context.Background(), names[i%len(names)], command, time.Minute)
						return err
					}
				}), senders)
			})
		}
	}
}

// BenchmarkSealedReplay compares recoveries from events that are stored plain, sealed, and plain with an adapter. One
// operation is one event.
func BenchmarkSealedReplay(b *testing.B) {
	const length = 10_000
	for _, seal := range sealNames {
		b.Run("seal="+seal, func(b *testing.B) {
			store := memory.NewStore()
			engine := startSealing(b, store, seal)
			require.NoError(b, engine.Entity(context.Background(), testaccount.New("a")))
			for range length {
				_, _, err := engine.SendCommand(context.Background(), "a", &testpb.Deposit{Amount: 1}, time.Minute)
				require.NoError(b, err)
			}
			measureCPU(b)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%length == 0 {
					_, err := engine.StateAt(context.Background(), testaccount.New("a"), length)
					require.NoError(b, err)
				}
			}
		})
	}
}

// BenchmarkSeal measures the encryptor alone.
func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{32, 1_024} {
		e := encryption.NewAESEncryptor(encryption.NewMemoryKeyStore())
		at := &encryption.Record{Kind: encryption.EventRecord, PersistenceID: "account-1", Number: 7, TypeURL: "type.googleapis.com/egotest.v1.Deposited"}
		plaintext, buffer := make([]byte, size), make([]byte, 0, 2_048)
		sealed, keyID, err := e.Seal(b.Context(), at, nil, plaintext)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("op=seal/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, err = e.Seal(b.Context(), at, buffer, plaintext)
			}
			require.NoError(b, err)
		})
		b.Run(fmt.Sprintf("op=open/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err = e.Open(b.Context(), at, keyID, buffer, sealed)
			}
			require.NoError(b, err)
		})
	}
}
