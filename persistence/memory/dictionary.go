package memory

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// The dictionary takes so many strings, each up to so many bytes. Names of kinds, types and writers stay far below; a
// caller that makes up a new one for each event costs no more than this.
const (
	maxDictionary = 1024
	maxEntry      = 512
)

// A dictionary numbers strings that many events have in common. Reading it takes no lock.
type dictionary struct {
	mu      sync.Mutex // held while a string is added
	entries atomic.Pointer[entries]
}

// entries are the strings of a dictionary. They are never changed: adding one makes new ones.
type entries struct {
	numbers map[string]uint64
	names   []string // the empty string is number zero
}

func (d *dictionary) init() { d.entries.Store(&entries{names: []string{""}}) }

// reference returns the number of a string. It is false for one that the dictionary does not take.
func (d *dictionary) reference(name string) (uint64, bool) {
	if name == "" {
		return 0, true
	}
	if number, known := d.entries.Load().numbers[name]; known {
		return number, true
	}
	return d.add(name)
}

func (d *dictionary) add(name string) (uint64, bool) {
	if len(name) > maxEntry || !utf8.ValidString(name) {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.entries.Load()
	if number, known := old.numbers[name]; known {
		return number, true
	}
	if len(old.names) > maxDictionary {
		return 0, false
	}
	name = strings.Clone(name) // it may be a part of something large
	number := uint64(len(old.names))
	next := &entries{numbers: make(map[string]uint64, len(old.numbers)+1), names: append(old.names[:number:number], name)}
	maps.Copy(next.numbers, old.numbers)
	next.numbers[name] = number
	d.entries.Store(next)
	return number, true
}

// name returns the string of a number.
func (d *dictionary) name(number uint64) string { return d.entries.Load().names[number] }
