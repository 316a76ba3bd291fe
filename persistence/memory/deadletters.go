package memory

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"github.com/actorkeep/ego/egopb"
	"github.com/actorkeep/ego/offsetstore"
)

// letterPage is how many dead letters are fetched under one lock.
const letterPage = 256

// A deadLetter is a dead letter of one shard of a consumer.
type deadLetter struct {
	position uint64
	entity   string
	data     []byte
}

func (s *consumerShard) search(position uint64) (int, bool) {
	return slices.BinarySearchFunc(s.letters, position, func(l deadLetter, position uint64) int {
		return cmp.Compare(l.position, position)
	})
}

// park adds a dead letter or replaces the one at its position.
func (s *consumerShard) park(letter deadLetter) {
	i, found := s.search(letter.position)
	if found {
		s.letters[i] = letter
		return
	}
	s.letters = slices.Insert(s.letters, i, letter)
}

// forgetLetters removes the dead letters above a position.
func (s *consumerShard) forgetLetters(position uint64) {
	i, found := s.search(position)
	if found {
		i++
	}
	clear(s.letters[i:])
	s.letters = s.letters[:i]
}

// ParkEvents implements [offsetstore.DeadLetterStore].
func (s *Store) ParkEvents(ctx context.Context, lease offsetstore.Lease, letters []*egopb.DeadLetter) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	encoded := make([]deadLetter, len(letters))
	for i, letter := range letters {
		var err error
		if encoded[i], err = encodeLetter(lease, letter); err != nil {
			return err
		}
	}
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	held, err := s.consumers.held(lease)
	if err != nil {
		return err
	}
	for _, letter := range encoded {
		held.park(letter)
	}
	return nil
}

// encodeLetter serializes a dead letter.
func encodeLetter(lease offsetstore.Lease, letter *egopb.DeadLetter) (deadLetter, error) {
	letter, err := offsetstore.CheckLetter(lease, letter)
	if err != nil {
		return deadLetter{}, err
	}
	id := letter.GetEvent().GetPersistenceId()
	data, err := encode(id, letter)
	return deadLetter{position: letter.GetEvent().GetPosition(), entity: id, data: data}, err
}

// DeadLetters implements [offsetstore.DeadLetterStore].
func (s *Store) DeadLetters(ctx context.Context, consumer string, persistenceIDs ...string) iter.Seq2[*egopb.DeadLetter, error] {
	ids := slices.Clone(persistenceIDs)
	return func(yield func(*egopb.DeadLetter, error) bool) {
		cursor := letterCursor{}
		for {
			if err := s.ready(ctx); err != nil {
				yield(nil, err)
				return
			}
			page := s.letters(consumer, ids, &cursor)
			if len(page) == 0 {
				return
			}
			for _, letter := range page {
				message, err := decode(letter.data, new(egopb.DeadLetter))
				if !yield(message, err) || err != nil {
					return
				}
				if err := s.ready(ctx); err != nil {
					yield(nil, err)
					return
				}
			}
		}
	}
}

// A letterCursor is the last dead letter that was read.
type letterCursor struct {
	shard    uint32
	position uint64
}

// letters returns the next page after the cursor and moves it.
func (s *Store) letters(consumer string, ids []string, cursor *letterCursor) []deadLetter {
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	var page []deadLetter
	for _, shard := range s.consumers.sorted(consumer) {
		if shard < cursor.shard {
			continue
		}
		if shard > cursor.shard {
			cursor.shard, cursor.position = shard, 0
		}
		known := s.consumers.find(consumer, shard)
		from, _ := known.search(cursor.position + 1)
		for _, letter := range known.letters[from:] {
			cursor.position = letter.position
			if len(ids) == 0 || slices.Contains(ids, letter.entity) {
				page = append(page, letter)
			}
			if len(page) == letterPage {
				return page
			}
		}
	}
	return page
}

// ParkedEntities implements [offsetstore.DeadLetterStore].
func (s *Store) ParkedEntities(ctx context.Context, consumer string, shard uint32) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	known := s.consumers.find(consumer, shard)
	if known == nil {
		return nil, nil
	}
	var ids []string
	for _, letter := range known.letters {
		ids = append(ids, letter.entity)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// DeleteDeadLetters implements [offsetstore.DeadLetterStore].
func (s *Store) DeleteDeadLetters(ctx context.Context, consumer string, shard uint32, positions ...uint64) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.consumers.mu.Lock()
	defer s.consumers.mu.Unlock()
	known := s.consumers.find(consumer, shard)
	if known == nil {
		return nil
	}
	for _, position := range positions {
		if i, found := known.search(position); found {
			known.letters = slices.Delete(known.letters, i, i+1)
		}
	}
	return nil
}
