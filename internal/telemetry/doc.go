// Package telemetry records what an engine does with OpenTelemetry. It uses the providers that the user gives and never the
// globals. docs/metrics.md names every instrument, its unit and its attributes; entities are never attributes of metrics,
// so their number does not grow with the number of entities.
//
// A nil [Recorder] is ready to use and records nothing: an engine without telemetry pays one comparison.
package telemetry
