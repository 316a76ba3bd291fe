package journal

import "github.com/actorkeep/ego/egopb"

// What the fields of an event cost beyond their bytes, from above: keys, lengths and numbers of all single fields, and key
// and lengths of each element of a repeated one.
const (
	eventOverhead   = 160
	elementOverhead = 20
)

// sizeOf estimates the encoded size of events from above. It costs a fraction of proto.Size.
func sizeOf(events []*egopb.Event) int {
	total := 0
	for _, e := range events {
		if e == nil {
			continue
		}
		total += eventOverhead + len(e.GetPersistenceId()) + len(e.GetKind()) + len(e.GetCommandId()) +
			len(e.GetCorrelationId()) + len(e.GetCausationId()) + len(e.GetKeyId()) + len(e.GetWriterId())
		if p := e.GetPayload(); p != nil {
			total += len(p.GetTypeUrl()) + len(p.GetValue())
		}
		if t := e.GetTrace(); t != nil {
			total += len(t.GetTraceparent()) + len(t.GetTracestate())
		}
		for _, tag := range e.GetTags() {
			total += elementOverhead + len(tag)
		}
		for k, v := range e.GetMetadata() {
			total += elementOverhead + len(k) + len(v)
		}
	}
	return total
}
