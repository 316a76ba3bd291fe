// Package benchmark compares the way of a command through ego with the bare parts that it is made of, in one run.
//
//	go test -run '^$' -bench . -count 5 .
//
// The command cmd/ratios lets both sides take turns and prints a table of ratios; `make ratios` runs it.
package benchmark
