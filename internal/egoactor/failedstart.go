package egoactor

import (
	"reflect"
	"unsafe"

	goakt "github.com/tochemey/goakt/v3/actor"
)

// stopFailed stops what an actor system has begun whose start failed. GoAkt means to do that itself, but it refuses to stop a
// system that it has not marked as started, so its listener would hold the remoting port for as long as the process lives,
// and a node whose cluster is too busy to take it in could never join. The marks are not exported; a GoAkt without them is
// left as it is.
func stopFailed(system goakt.ActorSystem) {
	started, starting := mark(system, "started"), mark(system, "starting")
	if started == nil || starting == nil {
		return
	}
	starting.Store(false)
	started.Store(true)
	_ = stopSystem(system) // what has not begun cannot be stopped, which says nothing new
}

// A flag is one of an atomic type.
type flag interface{ Store(value bool) }

// mark returns a mark of an actor system of GoAkt's, nil when there is none of that name.
func mark(system goakt.ActorSystem, name string) flag {
	value := reflect.ValueOf(system)
	if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
		return nil
	}
	field := value.Elem().FieldByName(name)
	if !field.IsValid() {
		return nil
	}
	pointer := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())) //nolint:gosec // to a field of just this type
	found, _ := reflect.TypeAssert[flag](pointer)
	return found
}
