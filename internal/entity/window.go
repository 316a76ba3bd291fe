package entity

import "github.com/actorkeep/ego/egopb"

// window remembers the ids of the last commands that took effect. The zero value remembers nothing until it is given a
// size, and costs nothing until it is given an id.
type window struct {
	size      int
	revisions map[string]uint64
	order     []string // a ring once it is full
	oldest    int
}

// revision returns the revision after the command, and whether the command is known.
func (w *window) revision(commandID string) (uint64, bool) {
	if commandID == "" {
		return 0, false
	}
	revision, ok := w.revisions[commandID]
	return revision, ok
}

// add remembers a command; the oldest makes room for it.
func (w *window) add(commandID string, revision uint64) {
	if commandID == "" || w.size <= 0 {
		return
	}
	if w.revisions == nil {
		w.revisions = make(map[string]uint64)
	}
	if _, known := w.revisions[commandID]; known {
		w.revisions[commandID] = revision // the later event of the same command
		return
	}
	w.revisions[commandID] = revision
	if len(w.order) < w.size {
		w.order = append(w.order, commandID)
		return
	}
	delete(w.revisions, w.order[w.oldest])
	w.order[w.oldest] = commandID
	w.oldest = (w.oldest + 1) % w.size
}

// forget empties the window.
func (w *window) forget() { *w = window{size: w.size} }

// handled returns the remembered commands, oldest first.
func (w *window) handled() []*egopb.HandledCommand {
	list := make([]*egopb.HandledCommand, 0, len(w.order))
	for i := range w.order {
		id := w.order[(w.oldest+i)%len(w.order)]
		list = append(list, &egopb.HandledCommand{CommandId: id, Revision: w.revisions[id]})
	}
	return list
}

// restore fills the window from a snapshot.
func (w *window) restore(handled []*egopb.HandledCommand) {
	w.forget()
	for _, command := range handled {
		w.add(command.GetCommandId(), command.GetRevision())
	}
}
