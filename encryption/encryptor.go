package encryption

import (
	"context"
	"encoding/binary"
)

// A RecordKind says what sort of record a sealed value belongs to. The numbers are part of what is sealed.
type RecordKind byte

// The sorts of records.
const (
	EventRecord    RecordKind = 1
	SnapshotRecord RecordKind = 2
	StateRecord    RecordKind = 3
	TimerRecord    RecordKind = 4
	OtherRecord    RecordKind = 5
)

// A Record is the place of a sealed value. All of it is associated data.
type Record struct {
	Kind          RecordKind
	PersistenceID string
	Number        uint64 // sequence number or revision; zero for records that have none
	Name          string // tells records without a number apart, such as the timers of an owner
	TypeURL       string // of the message that is sealed
}

// appendTo appends the record in a form that no other record has.
func (r *Record) appendTo(b []byte, keyID string) []byte {
	b = append(b, byte(r.Kind))
	b = binary.BigEndian.AppendUint64(b, r.Number)
	for _, s := range []string{r.PersistenceID, r.Name, r.TypeURL, keyID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// An Encryptor seals and opens the payloads of records. Implementations must be safe for concurrent use, must bound every
// call in time, and must make what they sealed fail to open in another place.
type Encryptor interface {
	Erasures

	// Seal appends the sealed plaintext to dst and returns the id of the key that it used. An empty key id says that the
	// record is to stay plain; dst is returned as it was then. For an erased entity it is [ErrErased]. It does not keep the
	// plaintext.
	Seal(ctx context.Context, record *Record, dst, plaintext []byte) (sealed []byte, keyID string, err error)

	// Open appends the plaintext to dst. When the key was destroyed it is [ErrErased], when the key is not known
	// [ErrUnknownKey], and when the value is not what was sealed in this place [ErrDamaged].
	Open(ctx context.Context, record *Record, keyID string, dst, sealed []byte) (plaintext []byte, err error)

	// Check returns nil when the encryptor can work, else all that is wrong. An engine calls it when it starts.
	Check(ctx context.Context) error
}

// A Life says whether an entity may be read and written, and which of its lives that is.
type Life struct {
	Phase    Phase
	Erasures uint64 // how often the entity was erased; what one knew of it is void when the number has grown
}

// A Phase is where an entity is between two erasures.
type Phase int

const (
	// Alive is every entity that was not erased, or that was revived.
	Alive Phase = iota
	// Erasing is an entity whose keys are destroyed and whose records may not all be gone.
	Erasing
	// Erased is an entity of which nothing is left to read.
	Erased
)

// Erasures remembers which entities were erased. Every [KeyStore] and every [Encryptor] does.
type Erasures interface {
	// BeginErasure destroys the keys of an entity, if it has any, and marks it as [Erasing], all or nothing. It may be
	// called for any entity at any time and any number of times.
	BeginErasure(ctx context.Context, persistenceID string) error

	// FinishErasure marks an entity that is [Erasing] as [Erased]. Of another entity it changes nothing.
	FinishErasure(ctx context.Context, persistenceID string) error

	// Revive makes an entity that is [Erased] [Alive] again, so that it can have keys. The destroyed ones stay destroyed.
	// An entity that is [Erasing] is [ErrErased]; an entity that is [Alive] stays so.
	Revive(ctx context.Context, persistenceID string) error

	// LifeOf returns what an entity is. An encryptor may answer from its cache.
	LifeOf(ctx context.Context, persistenceID string) (Life, error)

	// PendingErasures returns at most limit entities above after, in byte order, that are [Erasing].
	PendingErasures(ctx context.Context, after string, limit int) ([]string, error)
}
