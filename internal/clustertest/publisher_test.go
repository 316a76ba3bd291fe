package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/internal/pgtest"
)

// filePublisher appends a line for every event of an account to a file that all nodes share. What was written stays when the
// process is killed, as with a broker.
type filePublisher struct{ path string }

func (p *filePublisher) ID() string                  { return "file" }
func (p *filePublisher) Close(context.Context) error { return nil }

func (p *filePublisher) Publish(_ context.Context, event *egopb.Event) error {
	if event.GetKind() != "account" {
		return nil
	}
	file, err := os.OpenFile(p.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "%s %d\n", event.GetPersistenceId(), event.GetSequenceNumber())
	return err
}

// publishedFile is where the nodes of a cluster publish to.
func publishedFile(spec *nodeSpec) string {
	return filepath.Join(filepath.Dir(spec.Control), "published")
}

// publish adds the publisher to a node that has the projection.
func publish(spec *nodeSpec, engine *ego.Engine) error {
	if !spec.Projection {
		return nil
	}
	return engine.AddEventPublishers(&filePublisher{publishedFile(spec)})
}

// awaitPublished waits until every event of an account was published, and checks that those of an entity first arrived in
// order. It returns how many there are, and how many arrived again.
func (c *testCluster) awaitPublished() (events, again int) {
	c.t.Helper()
	spec := c.nodes[0].spec
	pool := pgtest.PoolAt(c.t, spec.URL)
	rows, err := pool.Query(c.t.Context(), `SELECT persistence_id, max(sequence_number) FROM `+
		pgx.Identifier{spec.Schema, "events"}.Sanitize()+` WHERE kind = 'account' GROUP BY persistence_id`)
	require.NoError(c.t, err)
	newest := map[string]uint64{}
	var id string
	var number uint64
	_, err = pgx.ForEachRow(rows, []any{&id, &number}, func() error { newest[id] = number; return nil })
	require.NoError(c.t, err)
	require.NotEmpty(c.t, newest)
	await(c.t, "every event is published", func() bool {
		arrived, repeats := readPublished(c.t, publishedFile(&spec))
		events, again = 0, repeats
		for id, number := range newest {
			if arrived[id] < number {
				return false
			}
			events += int(number)
		}
		return true
	})
	return events, again
}

// readPublished returns the newest event of each entity that has arrived, and how often one arrived again. It fails when one
// arrived before the one that precedes it.
func readPublished(t testing.TB, path string) (arrived map[string]uint64, again int) {
	t.Helper()
	arrived = map[string]uint64{}
	written, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return arrived, 0
	}
	require.NoError(t, err)
	whole := string(written[:max(bytes.LastIndexByte(written, '\n'), 0)]) // what is behind it is being written
	if whole == "" {
		return arrived, 0
	}
	for line := range strings.SplitSeq(whole, "\n") {
		var id string
		var number uint64
		_, err := fmt.Sscanf(line, "%s %d", &id, &number)
		require.NoError(t, err, "%q", line)
		require.LessOrEqual(t, number, arrived[id]+1, "%s was published before those that precede it", line)
		if number <= arrived[id] {
			again++
		}
		arrived[id] = max(arrived[id], number)
	}
	return arrived, again
}
