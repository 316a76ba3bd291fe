package publisher

import "errors"

// Blocked remembers entities of which an event was not sent, so that none overtakes it. The zero value knows none.
type Blocked struct{ keys map[string]struct{} }

// Add blocks an entity.
func (b *Blocked) Add(key string) {
	if b.keys == nil {
		b.keys = make(map[string]struct{})
	}
	b.keys[key] = struct{}{}
}

// Has reports whether an entity is blocked.
func (b *Blocked) Has(key string) bool {
	_, ok := b.keys[key]
	return ok
}

// EncodeAll encodes what a publisher of batches is given. It leaves out what cannot be encoded and what comes behind that of
// the same entity, and returns their errors joined.
func EncodeAll[R interface{ GetPersistenceId() string }](records []R, encode func(record R) (*Message, error)) ([]*Message, error) {
	var (
		problems []error
		blocked  Blocked
		messages = make([]*Message, 0, len(records))
	)
	for _, record := range records {
		if blocked.Has(record.GetPersistenceId()) {
			continue
		}
		message, err := encode(record)
		if err != nil {
			problems = append(problems, err)
			blocked.Add(record.GetPersistenceId())
			continue
		}
		messages = append(messages, message)
	}
	return messages, errors.Join(problems...)
}

// Rounds divides messages so that each round has one of an entity at most, those of an entity are in order, and no round is
// longer than a limit. It is for brokers that take or lose each message by itself: send a round when the one before is taken.
func Rounds(messages []*Message, limit int) [][]*Message {
	var divided [][]*Message
	next := make(map[string]int) // the round after that of the entity's last message
	for _, m := range messages {
		i := next[m.Key]
		for i < len(divided) && len(divided[i]) == limit {
			i++
		}
		if i == len(divided) {
			divided = append(divided, nil)
		}
		divided[i] = append(divided[i], m)
		next[m.Key] = i + 1
	}
	return divided
}
