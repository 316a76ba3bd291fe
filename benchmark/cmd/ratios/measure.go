package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/actorkeep/ego/benchmark/internal/workload"
)

// A comparison is what it takes to fill a row.
type comparison struct {
	row

	// sampleBare and sampleEgo take one sample each. They run in turns.
	sampleBare, sampleEgo func() (point, error)
	close                 func() error
}

// A point is one sample: what the table shows of it.
type point struct {
	value, allocations, p99 float64
	lost                    int
}

// pointOf returns the point of a sample. The latency of an operation of many units is none of a unit.
func pointOf(s workload.Sample) point {
	p := point{value: s.PerUnit(), allocations: s.Allocations(), lost: s.Lost}
	if s.Operations == s.Units {
		p.p99 = float64(s.P99.Nanoseconds())
	}
	return p
}

// measure takes the samples of all rows.
func (p *plan) measure() ([]row, error) {
	var rows []row
	for _, prepare := range p.comparisons() {
		if p.only != "" && !strings.Contains(prepare.path, p.only) {
			continue
		}
		c, err := prepare.open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", prepare.path, err)
		}
		c.path = prepare.path
		err = p.fill(c)
		if closed := c.close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.path, err)
		}
		rows = append(rows, c.row)
	}
	return rows, nil
}

// fill takes the samples of a row. Who goes first changes with each round, so that a machine that slows down or a heap
// that grows favours nobody.
func (p *plan) fill(c *comparison) error {
	var bare, ego []point
	sample := func(points *[]point, take func() (point, error)) error {
		s, err := take()
		*points = append(*points, s)
		return err
	}
	for round := range p.rounds {
		first, second := func() error { return sample(&bare, c.sampleBare) }, func() error { return sample(&ego, c.sampleEgo) }
		if round%2 == 1 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.progress, "%s: round %d of %d\n", c.path, round+1, p.rounds)
	}
	c.bare, c.ego, c.factor = cellOf(bare), cellOf(ego), medianFactor(bare, ego)
	return nil
}

func cellOf(points []point) cell {
	if len(points) == 0 {
		return cell{}
	}
	column := func(of func(point) float64) []float64 {
		values := make([]float64, len(points))
		for i, p := range points {
			values[i] = of(p)
		}
		slices.Sort(values)
		return values
	}
	values := column(func(p point) float64 { return p.value })
	c := cell{
		value:       median(values),
		spread:      spread{values[0], values[len(values)-1]},
		allocations: median(column(func(p point) float64 { return p.allocations })),
		p99:         median(column(func(p point) float64 { return p.p99 })),
	}
	for _, p := range points {
		c.lost += p.lost
	}
	return c
}

// medianFactor returns the median of how often the value of ego has that of bare in it, round by round.
func medianFactor(bare, ego []point) float64 {
	factors := make([]float64, len(ego))
	for i := range ego {
		factors[i] = ego[i].value / bare[i].value
	}
	slices.Sort(factors)
	return median(factors)
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// units returns how many units of a side make one sample, after a run that also warms it up.
func (p *plan) units(side workload.Side, senders, warm int) (int, int, error) {
	s, err := workload.Drive(side, senders, warm)
	if err != nil {
		return 0, 0, err
	}
	return max(int(float64(p.sample)/s.PerUnit()), senders), s.Units, nil
}

// sampler returns what takes one sample of a side.
func sampler(side workload.Side, senders, units int, done func(workload.Sample)) func() (point, error) {
	return func() (point, error) {
		s, err := workload.Measure(side, senders, units)
		if done != nil {
			done(s)
		}
		return pointOf(s), err
	}
}

func elapsed(d time.Duration) point { return point{value: float64(d.Nanoseconds()), allocations: -1} }
