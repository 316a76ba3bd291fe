package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/actorkeep/ego/benchmark/internal/workload"
	"github.com/actorkeep/ego/persistence/memory"
)

// A preparation opens a comparison when its turn has come.
type preparation struct {
	path string
	open func() (*comparison, error)
}

func (p *plan) comparisons() []preparation {
	atLeast := func(share float64) func(float64, cell) bool {
		return func(factor float64, _ cell) bool { return 1/factor >= share }
	}
	atMost := func(most float64) func(float64, cell) bool {
		return func(factor float64, _ cell) bool { return factor <= most }
	}
	single := row{format: duration, target: "at most 2.5 ×, 8 allocations", met: func(factor float64, ego cell) bool {
		return factor <= 2.5 && ego.allocations <= 8.05
	}}
	hot := row{format: duration, asRate: true, target: "at least 45 %", met: atLeast(0.45)}
	many := row{format: duration, asRate: true, target: "at least 45 %, p99 under 1 ms", met: func(factor float64, ego cell) bool {
		return 1/factor >= 0.45 && ego.p99 < 1e6
	}}
	return []preparation{
		{"command, 1 entity, memory store, 1 sender", func() (*comparison, error) { return p.commands(single, 1, 1) }},
		{"command, 1 entity, memory store, 64 senders", func() (*comparison, error) { return p.commands(hot, 1, 64) }},
		{"command, 1,000 entities, memory store, 64 senders", func() (*comparison, error) { return p.commands(many, 1000, 64) }},
		{"one durable command at a time, SQLite", func() (*comparison, error) {
			return p.durable(row{format: duration, target: "at most 1.2 ×", met: atMost(1.2)}, 1)
		}},
		{"durable commands, SQLite, 256 senders over 1,000 entities", func() (*comparison, error) {
			return p.durable(row{format: duration, asRate: true, target: "at least 60 %", met: atLeast(0.6)}, 256)
		}},
		{"replay, SQLite, an event", func() (*comparison, error) {
			return p.replay(row{format: duration, asRate: true, target: "at least 60 %", met: atLeast(0.6)})
		}},
		{"idle entity, memory", func() (*comparison, error) {
			return p.idleEntity(row{format: bytes, target: "at most 1.5 ×", met: atMost(1.5)})
		}},
		{"recovery of " + strconv.Itoa(p.events) + " events, SQLite", func() (*comparison, error) {
			return p.recovery(row{format: duration, target: "–"}, false)
		}},
		{"recovery of " + strconv.Itoa(p.events) + " events with snapshots, SQLite", func() (*comparison, error) {
			return p.recovery(row{format: duration, target: "under 10 ms", met: func(_ float64, ego cell) bool { return ego.value < 10e6 }}, true)
		}},
	}
}

// commands compares Tells with replies with commands.
func (p *plan) commands(r row, entities, senders int) (*comparison, error) {
	bare, err := workload.StartActors(entities)
	if err != nil {
		return nil, err
	}
	ego, err := workload.StartCommands(memory.NewStore(), entities, nil)
	if err != nil {
		return nil, err
	}
	bareUnits, _, err := p.units(bare, senders, 20_000)
	if err != nil {
		return nil, err
	}
	egoUnits, sent, err := p.units(ego, senders, 20_000)
	if err != nil {
		return nil, err
	}
	return &comparison{
		row:        r,
		sampleBare: sampler(bare, senders, bareUnits, nil),
		sampleEgo:  sampler(ego, senders, egoUnits, func(s workload.Sample) { sent += s.Units }),
		close:      func() error { return errors.Join(ego.Verify(sent), ego.Close(), bare.Close()) },
	}, nil
}

// durable compares batches of the bare driver with commands. The batches have the sizes of those that the engine wrote
// last.
func (p *plan) durable(r row, senders int) (*comparison, error) {
	const entities = 1000
	dir, err := os.MkdirTemp(p.dir, "durable-")
	if err != nil {
		return nil, err
	}
	bare, err := workload.OpenBatches(dir, entities, 1)
	if err != nil {
		return nil, err
	}
	store, err := workload.OpenSQLite(dir)
	if err != nil {
		return nil, err
	}
	recorder := &workload.Recorder{EventsStore: store}
	ego, err := workload.StartCommands(recorder, entities, func() error { return store.Disconnect(context.Background()) })
	if err != nil {
		return nil, err
	}
	units, sent, err := p.units(ego, senders, 20*senders)
	if err != nil {
		return nil, err
	}
	units *= 2 // a disk varies more than a processor
	bare.Sizes = recorder.Take()
	return &comparison{
		row:        r,
		sampleBare: sampler(bare, 1, units, nil),
		sampleEgo: sampler(ego, senders, units, func(s workload.Sample) {
			sent += s.Units
			bare.Sizes = recorder.Take()
		}),
		close: func() error { return errors.Join(ego.Verify(sent), ego.Close(), bare.Close()) },
	}, nil
}

// replay compares one query that scans and unmarshals with the replay of the store.
func (p *plan) replay(r row) (*comparison, error) {
	journal, err := workload.OpenJournal(p.dir, 10, 10_000)
	if err != nil {
		return nil, err
	}
	units, _, err := p.units(workload.Replay{Journal: journal}, 1, 20_000)
	if err != nil {
		return nil, err
	}
	return &comparison{
		row:        r,
		sampleBare: sampler(workload.BareScan{Journal: journal}, 1, units, nil),
		sampleEgo:  sampler(workload.Replay{Journal: journal}, 1, units, nil),
		close:      journal.Close,
	}, nil
}

// idleEntity compares live actors with live entities.
func (p *plan) idleEntity(r row) (*comparison, error) {
	footprint := func(open func(n int) (workload.Side, error)) func() (point, error) {
		return func() (point, error) {
			f, err := workload.MeasureIdle(p.idle, open)
			return point{value: f.Bytes, allocations: -1}, err
		}
	}
	return &comparison{
		row:        r,
		sampleBare: footprint(func(n int) (workload.Side, error) { return workload.StartActors(n) }),
		sampleEgo:  footprint(func(n int) (workload.Side, error) { return workload.StartCommands(memory.NewStore(), n, nil) }),
		close:      func() error { return nil },
	}, nil
}

// recovery compares a bare scan of a journal with the first look at its entity.
func (p *plan) recovery(r row, snapshots bool) (*comparison, error) {
	dir, err := os.MkdirTemp(p.dir, "recovery-")
	if err != nil {
		return nil, err
	}
	journal, err := workload.OpenJournal(dir, 1, p.events)
	if err != nil {
		return nil, err
	}
	ego := &workload.Recovery{Journal: journal, Snapshots: snapshots}
	if snapshots {
		if err := ego.WriteSnapshot(); err != nil {
			return nil, err
		}
	}
	scan := workload.BareScan{Journal: journal}.Sender(0)
	return &comparison{
		row: r,
		sampleBare: func() (point, error) {
			begin := time.Now()
			_, err := scan()
			return elapsed(time.Since(begin)), err
		},
		sampleEgo: func() (point, error) {
			took, err := ego.Recover()
			return elapsed(took), err
		},
		close: journal.Close,
	}, nil
}
