package mongo

// knownEntities is how many entities a store remembers at least; it forgets the older half beyond twice as many.
const knownEntities = 50_000

// A head is where the journal of an entity ends.
type head struct {
	number uint64 // highest sequence number; zero when the entity has no events
	entry  uint64 // number of the batch that has it
}

// headCache remembers where journals end, as far as the log has been read. What it says may be older than the log, never
// wrong for the part that was read.
type headCache struct {
	young, old map[string]head
	complete   bool // an entity that is not here had no events
}

func (h *headCache) get(id string) (head, bool) {
	found, ok := h.young[id]
	if !ok {
		found, ok = h.old[id]
	}
	return found, ok || h.complete
}

// put takes over what was learned, unless more is known.
func (h *headCache) put(id string, learned head) {
	if known, ok := h.get(id); ok && known.number > learned.number {
		learned = known
	}
	if h.young == nil {
		h.young = make(map[string]head)
	}
	h.young[id] = learned
	if len(h.young) > knownEntities {
		h.complete = h.complete && len(h.old) == 0
		h.old, h.young = h.young, nil
	}
}
