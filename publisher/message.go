package publisher

import (
	"strconv"
	"strings"
	"time"

	"github.com/actorkeep/ego/egopb"
)

// A Message is what a broker carries: an event, or a state, encoded.
type Message struct {
	ID      string // the same whenever the event is published; brokers that can, drop repeats by it
	Key     string // the entity: what keeps its events in order
	Kind    string
	Type    string // full name of the payload's message
	Time    time.Time
	Headers []Header
	Body    []byte
}

// A Header is one pair of a message.
type Header struct{ Name, Value string }

// Header returns the value of a header, empty when there is none.
func (m *Message) Header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// The headers of messages. A header that would be empty is left out.
const (
	HeaderEventID     = "ego-event-id"
	HeaderEntity      = "ego-entity"
	HeaderKind        = "ego-kind"
	HeaderType        = "ego-type"
	HeaderNumber      = "ego-number" // sequence number of an event, revision of a state
	HeaderShard       = "ego-shard"
	HeaderPosition    = "ego-position"
	HeaderTime        = "ego-time" // RFC 3339 with nanoseconds, UTC
	HeaderCommandID   = "ego-command-id"
	HeaderCorrelation = "ego-correlation-id"
	HeaderCausation   = "ego-causation-id"
	HeaderTraceParent = "traceparent" // W3C trace context
	HeaderTraceState  = "tracestate"
	HeaderContentType = "content-type"
)

// PartKey is the metadata key that tells apart the events that an adapter split one stored event into: "1" for the second of
// them and so on. The first has none.
const PartKey = "ego.part"

// EventID returns the id of an event: its entity and number, which no other event has.
func EventID(event *egopb.Event) string {
	id := event.GetPersistenceId() + "/" + strconv.FormatUint(event.GetSequenceNumber(), 10)
	if part := event.GetMetadata()[PartKey]; part != "" {
		id += "." + part
	}
	return id
}

// StateID returns the id of a revision of a state.
func StateID(state *egopb.DurableState) string {
	return state.GetPersistenceId() + "/" + strconv.FormatUint(state.GetRevision(), 10)
}

// typeName is the name of a message in its type url.
func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// record is what events and states have in common, for the headers.
type record struct {
	id, entity, kind, typeURL       string
	number, position                uint64
	shard                           uint32
	time                            time.Time
	command, correlation, causation string
	trace                           *egopb.TraceContext
}

func eventRecord(e *egopb.Event) *record {
	return &record{
		id: EventID(e), entity: e.GetPersistenceId(), kind: e.GetKind(), typeURL: e.GetPayload().GetTypeUrl(),
		number: e.GetSequenceNumber(), position: e.GetPosition(), shard: e.GetShard(), time: time.Unix(0, e.GetTimeUnixNano()).UTC(),
		command: e.GetCommandId(), correlation: e.GetCorrelationId(), causation: e.GetCausationId(), trace: e.GetTrace(),
	}
}

func stateRecord(s *egopb.DurableState) *record {
	return &record{
		id: StateID(s), entity: s.GetPersistenceId(), kind: s.GetKind(), typeURL: s.GetState().GetTypeUrl(),
		number: s.GetRevision(), position: s.GetPosition(), shard: s.GetShard(), time: time.Unix(0, s.GetTimeUnixNano()).UTC(),
		command: s.GetCommandId(), correlation: s.GetCorrelationId(), causation: s.GetCausationId(), trace: s.GetTrace(),
	}
}

// message returns a message without a body.
func (r *record) message() *Message {
	m := &Message{
		ID: r.id, Key: r.entity, Kind: r.kind, Type: typeName(r.typeURL), Time: r.time,
		Headers: make([]Header, 0, 14),
	}
	m.add(HeaderEventID, r.id)
	m.add(HeaderEntity, r.entity)
	m.add(HeaderKind, r.kind)
	m.add(HeaderType, m.Type)
	m.add(HeaderNumber, strconv.FormatUint(r.number, 10))
	m.add(HeaderShard, strconv.FormatUint(uint64(r.shard), 10))
	m.add(HeaderPosition, strconv.FormatUint(r.position, 10))
	m.add(HeaderTime, r.time.Format(time.RFC3339Nano))
	m.add(HeaderCommandID, r.command)
	m.add(HeaderCorrelation, r.correlation)
	m.add(HeaderCausation, r.causation)
	m.add(HeaderTraceParent, r.trace.GetTraceparent())
	m.add(HeaderTraceState, r.trace.GetTracestate())
	return m
}

func (m *Message) add(name, value string) {
	if value != "" {
		m.Headers = append(m.Headers, Header{name, value})
	}
}
