package postgres

import "fmt"

// A column of the events, and how it travels.
type column struct {
	name  string
	array string // the type of its parameter
	cast  string // of a value
}

// Groups of columns that most batches have nothing in. A column costs the server time even where it is empty, so the
// statement of a batch names only the groups that it fills (ADR 15).
const (
	groupIDs = iota
	groupTrace
	groupSealed
	groupTags
	groups
)

// requiredColumns have the parameters from $5 on. place becomes the position.
func requiredColumns() []column {
	return []column{
		{"persistence_id", "text[]", ""}, {"sequence_number", "bigint[]", ""}, {"shard", "integer[]", ""}, {"place", "bigint[]", ""},
		{"time_unix_nano", "bigint[]", ""}, {"kind", "text[]", ""}, {"payload", "bytea[]", ""}, {"type_url", "text[]", ""},
		{"writer_id", "text[]", ""},
	}
}

func optionalColumns() [groups][]column {
	return [groups][]column{
		groupIDs:    {{"command_id", "text[]", ""}, {"correlation_id", "text[]", ""}, {"causation_id", "text[]", ""}},
		groupTrace:  {{"traceparent", "text[]", ""}, {"tracestate", "text[]", ""}},
		groupSealed: {{"key_id", "text[]", ""}, {"schema_version", "bigint[]", ""}},
		groupTags:   {{"tags", "text[]", "::text[]"}, {"metadata", "text[]", "::jsonb"}}, // as literals
	}
}

// appendStatements are the statements that write a batch: one for each set of filled groups, whose bits are its index.
func appendStatements() (statements [1 << groups]string) {
	for filled := range statements {
		statements[filled] = appendStatement(filled)
	}
	return statements
}

// appendStatement writes a batch, or nothing when a run is refused, which it then returns. It takes the counters in the
// order of the shards, so that writers cannot wait for each other in a circle, and holds them until the commit, so that
// positions become visible in order. Should a counter be missing, the position is NULL, which fails.
func appendStatement(filled int) string {
	columns := requiredColumns()
	for group, optional := range optionalColumns() {
		if filled&(1<<group) != 0 {
			columns = append(columns, optional...)
		}
	}
	var into, values, names, parameters string
	for i, c := range columns {
		comma := ", "
		if i == 0 {
			comma = ""
		}
		names += comma + c.name
		parameters += fmt.Sprintf("%s$%d::%s", comma, 5+i, c.array)
		if c.name == "place" {
			into, values = into+comma+"position", values+comma+"a.base + e.place"
			continue
		}
		into, values = into+comma+c.name, values+comma+"e."+c.name+c.cast
	}
	return `WITH refused AS (` + refusedRun + `), held AS (
			SELECT s.shard FROM ego.event_shards s
			WHERE s.shard = ANY ($3::integer[]) AND NOT EXISTS (SELECT FROM refused)
			ORDER BY s.shard FOR NO KEY UPDATE
		), advanced AS (
			UPDATE ego.event_shards s SET position = s.position + n.count
			FROM held h JOIN unnest($3::integer[], $4::bigint[]) AS n (shard, count) ON n.shard = h.shard
			WHERE s.shard = h.shard
			RETURNING s.shard, s.position - n.count AS base
		), inserted AS (
			INSERT INTO ego.events (` + into + `)
			SELECT ` + values + `
			FROM unnest(` + parameters + `) AS e (` + names + `)
			LEFT JOIN advanced a ON a.shard = e.shard
			WHERE NOT EXISTS (SELECT FROM refused)
		)
		SELECT r.persistence_id, r.first, r.highest FROM (VALUES (1)) AS always LEFT JOIN refused r ON true`
}

// args returns which groups a batch fills, and the parameters of its statement.
func (b *batch) args() (filled int, args []any) {
	args = []any{
		b.runIDs, b.runFirsts, b.shards, b.counts,
		b.ids, b.numbers, b.eventShards, b.offsets, b.times, b.kinds, b.payloads, []*string(b.typeURLs), []*string(b.writerIDs),
	}
	add := func(group int, empty bool, columns ...any) {
		if !empty {
			filled |= 1 << group
			args = append(args, columns...)
		}
	}
	add(groupIDs, b.commandIDs == nil && b.correlation == nil && b.causation == nil,
		[]*string(b.commandIDs), []*string(b.correlation), []*string(b.causation))
	add(groupTrace, b.parents == nil && b.states == nil, []*string(b.parents), []*string(b.states))
	add(groupSealed, b.keyIDs == nil && b.versions == nil, []*string(b.keyIDs), b.versions)
	add(groupTags, b.tags == nil && b.metadata == nil, []*string(b.tags), []*string(b.metadata))
	return filled, args
}
