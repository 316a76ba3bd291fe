// Package rounds lets a client of a broker have one thing on its way at a time, although many call it. What the callers bring
// while a round is under way goes together in the next, so few calls wait for long and the broker gets large batches. Nothing
// of a round is sent before the round before it is taken or refused, so nothing can overtake what was refused, provided
// that the client makes one batch of a round's part for a partition.
//
// A lock guards what waits; no code of others is called under it.
package rounds
