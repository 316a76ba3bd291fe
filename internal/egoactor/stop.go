package egoactor

import "context"

// Evict lets go of an entity once everything that is queued for it has been answered. The next request brings it to life
// anew.
func (h *Host) Evict(ctx context.Context, id string) error {
	cell := h.Cell(id)
	if cell == nil {
		return nil
	}
	if cell.evict() {
		h.release(cell)
	}
	select {
	case <-cell.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EvictAll lets go of all entities that match, each once everything that is queued for it has been answered. It returns at
// once.
func (h *Host) EvictAll(matches func(id string) bool) {
	for _, cell := range h.all() {
		if matches(cell.id) && cell.evict() {
			h.release(cell)
		}
	}
}

// release lets go of a closed cell and of its actor. An actor cannot wait for its own end, so that happens beside it.
func (h *Host) release(cell *Cell) {
	h.remove(cell)
	if h.beginStart() {
		go func() {
			defer h.starts.Done()
			_ = cell.pid.Shutdown(context.Background()) // it has nothing left to lose
		}()
	}
}

// Stop refuses new requests, waits until every queued one is answered, and lets go of all entities. When the context ends
// first, it cuts the work that is still going on, fails what is queued and returns the error of the context.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopping.Store(true)
	h.mu.Unlock()
	h.sweeper.stop()
	h.lounge.close()

	err := h.drain(ctx)
	h.cancel()
	if err != nil {
		for _, cell := range h.all() {
			h.abandon(cell, ErrStopped)
		}
		return err
	}
	h.starts.Wait()
	return nil
}

// drain closes cells as they come to rest until none is left.
func (h *Host) drain(ctx context.Context) error {
	for {
		cells := h.all()
		if len(cells) == 0 {
			return nil
		}
		waiting := false
		for _, cell := range cells {
			if cell.tryClose() {
				h.remove(cell)
				continue
			}
			waiting = true
			cell.hurry()
		}
		if !waiting {
			continue
		}
		select {
		case <-h.rest:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hurry makes a cell write at once what waits for others.
func (c *Cell) hurry() {
	c.mu.Lock()
	holding := c.holding
	c.mu.Unlock()
	if holding {
		c.lookAfter()
	}
}

// rested tells a stopping host that an actor has ended its turn.
func (h *Host) rested() {
	if !h.stopping.Load() {
		return
	}
	select {
	case h.rest <- struct{}{}:
	default:
	}
}
