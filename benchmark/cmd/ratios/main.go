// Ratios measures ego beside the bare parts that it is made of, and prints a table in Markdown: both sides take turns in
// one process, each row gives the medians, and the median of the ratios of all rounds. Read the ratios and not the times.
//
//	go run ./cmd/ratios
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

func main() {
	plan := &plan{progress: os.Stderr}
	flag.IntVar(&plan.rounds, "rounds", 5, "samples of each side")
	flag.DurationVar(&plan.sample, "sample", 400*time.Millisecond, "about how long one sample takes")
	flag.IntVar(&plan.events, "events", 100_000, "events of the journal that is recovered")
	flag.IntVar(&plan.idle, "idle", 5000, "idle entities")
	flag.StringVar(&plan.only, "only", "", "only the rows that contain this")
	flag.Parse()
	if err := run(os.Stdout, plan); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

// A plan says how much is measured.
type plan struct {
	rounds   int
	sample   time.Duration
	events   int
	idle     int
	only     string
	dir      string
	progress io.Writer
}

func run(out io.Writer, p *plan) (err error) {
	if p.rounds < 1 || p.sample <= 0 || p.events < 1 || p.idle < 1 {
		return errors.New("the counts and times must be positive")
	}
	if p.dir, err = os.MkdirTemp("", "ego-ratios-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()

	begin := time.Now()
	rows, err := p.measure()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "Medians of %d samples of each side, which took turns; %s, %d CPUs, %s/%s, %.0f s.\n\n",
		p.rounds, runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, time.Since(begin).Seconds()); err != nil {
		return err
	}
	return printTable(out, rows)
}
