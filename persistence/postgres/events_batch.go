package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/persistence"
)

// A batch is the events of one call as columns, which is how they travel: one array for each. A column that no event of
// the batch has anything in stays empty, and costs nothing.
type batch struct {
	runs []persistence.Run

	runIDs    []string // of each run
	runFirsts []int64
	shards    []int32 // the shards that are written to, in order, which is the order of their locks
	counts    []int64 // how many events each of them gets

	ids         []string
	numbers     []int64
	eventShards []int32
	offsets     []int64 // place among the events of the batch in the same shard, from 1
	times       []int64
	kinds       []string
	payloads    [][]byte
	typeURLs    textColumn
	tags        textColumn // as array literals
	metadata    textColumn // as JSON
	commandIDs  textColumn
	correlation textColumn
	causation   textColumn
	parents     textColumn
	states      textColumn
	keyIDs      textColumn
	writerIDs   textColumn
	versions    []*int64 // nil as long as all are zero
}

// A textColumn is a column whose values may be absent. It is nil as long as all are.
type textColumn []*string

// set sets the value of a row unless it is empty.
func (c *textColumn) set(row, rows int, value *string) {
	if *value != "" {
		c.put(row, rows, value)
	}
}

// put sets the value of a row.
func (c *textColumn) put(row, rows int, value *string) {
	if *c == nil {
		*c = make(textColumn, rows)
	}
	(*c)[row] = value
}

// newBatch makes columns of events that [persistence.Runs] has accepted. They refer to the events.
func newBatch(events []*egopb.Event, runs []persistence.Run, shards uint32) (*batch, error) {
	n := len(events)
	b := &batch{
		runs: runs, runIDs: make([]string, len(runs)), runFirsts: make([]int64, len(runs)),
		ids: make([]string, n), numbers: make([]int64, n), eventShards: make([]int32, n), offsets: make([]int64, n),
		times: make([]int64, n), kinds: make([]string, n), payloads: make([][]byte, n),
	}
	for i, run := range runs {
		b.runIDs[i], b.runFirsts[i] = run.PersistenceID, int64(run.First)
	}
	counts, size := make([]int64, shards), 0
	for i, event := range events {
		if err := checkEvent(event); err != nil {
			return nil, err
		}
		if size += len(event.GetPayload().GetValue()); size > maxRecord {
			return nil, tooLarge(event.GetPersistenceId(), size)
		}
		shard := persistence.ShardOf(event.GetPersistenceId(), shards)
		counts[shard]++
		b.ids[i], b.numbers[i] = event.GetPersistenceId(), int64(event.GetSequenceNumber())
		b.eventShards[i], b.offsets[i] = int32(shard), counts[shard] //nolint:gosec // at most MaxShards
		if err := b.fill(i, n, event); err != nil {
			return nil, err
		}
	}
	for shard, count := range counts {
		if count > 0 {
			b.shards, b.counts = append(b.shards, int32(shard)), append(b.counts, count)
		}
	}
	return b, nil
}

func (b *batch) fill(i, n int, event *egopb.Event) error {
	b.times[i], b.kinds[i] = event.GetTimeUnixNano(), event.GetKind()
	if payload := event.GetPayload(); payload != nil {
		b.typeURLs.put(i, n, &payload.TypeUrl)
		b.payloads[i] = payload.GetValue()
	}
	if trace := event.GetTrace(); trace != nil {
		b.parents.put(i, n, &trace.Traceparent)
		b.states.set(i, n, &trace.Tracestate)
	}
	b.commandIDs.set(i, n, &event.CommandId)
	b.correlation.set(i, n, &event.CorrelationId)
	b.causation.set(i, n, &event.CausationId)
	b.keyIDs.set(i, n, &event.KeyId)
	b.writerIDs.set(i, n, &event.WriterId)
	if version := int64(event.GetSchemaVersion()); version != 0 {
		if b.versions == nil {
			b.versions = make([]*int64, n)
		}
		b.versions[i] = &version
	}
	if len(event.GetTags()) > 0 {
		literal := arrayLiteral(event.GetTags())
		b.tags.put(i, n, &literal)
	}
	if len(event.GetMetadata()) > 0 {
		text, err := json.Marshal(event.GetMetadata())
		if err != nil {
			return err
		}
		object := string(text)
		b.metadata.put(i, n, &object)
	}
	return nil
}

// arrayLiteral writes strings as PostgreSQL writes an array, see
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
func arrayLiteral(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, value := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for j := range len(value) {
			if value[j] == '"' || value[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(value[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// checkEvent refuses what a text column cannot hold, so that the error names the entity.
func checkEvent(event *egopb.Event) error {
	id := event.GetPersistenceId()
	for _, field := range []struct{ name, value string }{
		{"kind", event.GetKind()}, {"type url", event.GetPayload().GetTypeUrl()}, {"command id", event.GetCommandId()},
		{"correlation id", event.GetCorrelationId()}, {"causation id", event.GetCausationId()},
		{"traceparent", event.GetTrace().GetTraceparent()}, {"tracestate", event.GetTrace().GetTracestate()},
		{"key id", event.GetKeyId()}, {"writer id", event.GetWriterId()},
	} {
		if err := checkText(id, field.name, field.value); err != nil {
			return err
		}
	}
	for _, tag := range event.GetTags() {
		if err := checkText(id, "tag", tag); err != nil {
			return err
		}
	}
	for key, value := range event.GetMetadata() {
		if err := checkText(id, "metadata", key); err != nil {
			return err
		}
		if err := checkText(id, "metadata", value); err != nil {
			return err
		}
	}
	return nil
}

func checkText(id, name, value string) error {
	if value == "" || utf8.ValidString(value) && strings.IndexByte(value, 0) < 0 {
		return nil
	}
	return &persistence.InvalidRecordError{PersistenceID: id,
		Reason: fmt.Sprintf("the %s %q is not UTF-8 without zero bytes, which is all that PostgreSQL keeps as text", name, value)}
}
