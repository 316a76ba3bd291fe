// Package workload holds the two sides of each comparison: what ego does, and the bare parts that it is made of. The
// benchmarks of Go and the program that prints ratios run the same code.
package workload
