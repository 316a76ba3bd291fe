package main

import (
	"fmt"
	"io"
	"strings"
)

// A cell is what one side of a row showed.
type cell struct {
	value float64 // the median, less is better
	spread
	allocations float64 // of one unit; below zero when not measured
	p99         float64 // nanoseconds, the median of the samples; zero when not measured
	lost        int
}

// A spread is the least and the most of the samples.
type spread struct{ least, most float64 }

// A row is one line of the table.
type row struct {
	path      string
	bare, ego cell
	factor    float64 // the median of ego / bare of each round: what slows the machine down slows both sides of a round
	format    func(value float64) string
	asRate    bool // the ratio is that of the rates, not of the times
	target    string
	met       func(factor float64, ego cell) bool // nil when there is no target
}

func printTable(out io.Writer, rows []row) error {
	var b strings.Builder
	b.WriteString("| path | bare | ego | ratio | allocations | p99 | lost | target | met |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d | %s | %s |\n", r.path, r.side(r.bare), r.side(r.ego), r.ratio(),
			allocations(r.ego), p99(r.ego), r.ego.lost+r.bare.lost, r.target, r.verdict())
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r row) side(c cell) string {
	text := r.format(c.value)
	if c.least != c.most {
		text += fmt.Sprintf(" (%s to %s)", r.format(c.least), r.format(c.most))
	}
	return text
}

func (r row) ratio() string {
	if r.asRate {
		return fmt.Sprintf("%.0f %% of the rate", 100/r.factor)
	}
	return fmt.Sprintf("%.2f ×", r.factor)
}

func (r row) verdict() string {
	switch {
	case r.met == nil:
		return "–"
	case r.ego.lost == 0 && r.met(r.factor, r.ego):
		return "yes"
	default:
		return "**no**"
	}
}

func allocations(c cell) string {
	if c.allocations < 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", c.allocations)
}

func p99(c cell) string {
	if c.p99 == 0 {
		return "–"
	}
	return duration(c.p99)
}

// duration formats nanoseconds.
func duration(ns float64) string {
	switch {
	case ns < 1e6:
		return fmt.Sprintf("%.2f µs", ns/1e3)
	default:
		return fmt.Sprintf("%.2f ms", ns/1e6)
	}
}

func bytes(n float64) string { return fmt.Sprintf("%.1f KB", n/1000) }
