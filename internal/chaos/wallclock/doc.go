// Package wallclock steps the clock that one process sees, as an administrator or a time service would step that of its
// machine, without touching the clocks of others. It is for tests.
//
// The Go runtime asks the kernel for the time by a function of the vDSO, whose address is in a variable. [Step] puts a
// function in its place that asks the vDSO and adds the steps to CLOCK_REALTIME. Everything in the process sees that,
// whichever package asks; monotonic time, and so timers, are left alone, as in a real step.
package wallclock
