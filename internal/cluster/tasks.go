package cluster

import (
	"context"
	"sync"
)

// tasks counts goroutines. Unlike with a [sync.WaitGroup], new ones may begin while somebody waits.
type tasks struct {
	mu    sync.Mutex
	count int
	none  chan struct{} // closed when the count reaches zero; nil unless somebody waits
}

// do runs a task on a goroutine of its own.
func (t *tasks) do(task func()) {
	t.mu.Lock()
	t.count++
	t.mu.Unlock()
	go func() {
		defer t.done()
		task()
	}()
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count--
	if t.count == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// wait returns when no task is left, or with the error of the context.
func (t *tasks) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.count == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.none == nil {
		t.none = make(chan struct{})
	}
	none := t.none
	t.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
