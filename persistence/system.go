package persistence

// A SystemNamer is a store that names its database as the semantic conventions of OpenTelemetry do (db.system.name), such as
// postgresql. Spans of its writes carry the name; a store need not have one.
type SystemNamer interface {
	DatabaseSystem() string
}
