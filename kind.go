package ego

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// A Kind builds the behaviours of one sort of entity. Its name is stored with what the entities write, so that an entity
// comes back to life on the next command, after a restart as well, without another call to [Engine.Entity]. Never change
// the name of a kind that has stored anything.
type Kind struct {
	name    string
	factory func(id string) behavior
	durable bool        // durable state instead of events
	saga    *sagaConfig // not nil: sagas
	options []SpawnOption
}

// behavior is what the behaviours of all sorts of entities have in common.
type behavior interface {
	ID() string
	InitialState() State
}

// EventSourcedKind returns the kind of entities that keep their events. The factory is called with the id of an entity
// whenever it is activated, by any goroutine; its behaviours must return that id. Options given to [Engine.Entity] win
// over those given here, and these over those of the engine.
func EventSourcedKind(name string, factory func(id string) EventSourcedBehavior, opts ...SpawnOption) Kind {
	kind := Kind{name: name, options: opts}
	if factory != nil {
		kind.factory = func(id string) behavior { return factory(id) }
	}
	return kind
}

// DurableStateKind returns the kind of entities that keep their latest state, under the same rules as [EventSourcedKind].
func DurableStateKind(name string, factory func(id string) DurableStateBehavior, opts ...SpawnOption) Kind {
	kind := Kind{name: name, durable: true, options: opts}
	if factory != nil {
		kind.factory = func(id string) behavior { return factory(id) }
	}
	return kind
}

// validate returns all that is wrong with a kind.
func (k *Kind) validate() error {
	var problems []error
	if k.name == "" {
		problems = append(problems, errors.New("ego: a kind has no name"))
	}
	if k.factory == nil {
		problems = append(problems, fmt.Errorf("ego: kind %q has no factory", k.name))
	}
	if _, err := (spawnConfig{}).with(k.options); err != nil {
		problems = append(problems, fmt.Errorf("ego: kind %q: %w", k.name, err))
	}
	return errors.Join(problems...)
}

// build makes a behaviour of the kind.
func (k *Kind) build(id string) (built behavior, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("%w: the factory of kind %q panicked: %v", ErrInvalidBehavior, k.name, value)
		}
	}()
	built = k.factory(id)
	if isNil(built) {
		return nil, fmt.Errorf("%w: the factory of kind %q returned nil", ErrInvalidBehavior, k.name)
	}
	if got := built.ID(); got != id {
		return nil, fmt.Errorf("%w: the factory of kind %q was asked for %q and returned %q", ErrInvalidBehavior, k.name, id, got)
	}
	return built, nil
}

// kinds are the registered kinds.
type kinds struct {
	byName map[string]*Kind
	byType sync.Map // reflect.Type of a behaviour → *Kind, nil when no kind builds it
}

func newKinds(registered []Kind) *kinds {
	k := &kinds{byName: make(map[string]*Kind, len(registered))}
	for i := range registered {
		k.byName[registered[i].name] = &registered[i]
	}
	return k
}

// of returns the registered kind of a behaviour, the one whose factory builds the same Go type. It is nil when there is
// none.
func (k *kinds) of(b behavior, id string) (*Kind, error) {
	behaviorType := reflect.TypeOf(b)
	if known, ok := k.byType.Load(behaviorType); ok {
		return known.(*Kind), nil
	}
	var found *Kind
	for _, kind := range k.byName {
		built, err := kind.build(id)
		if err != nil || reflect.TypeOf(built) != behaviorType {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: kinds %q and %q both build %T", ErrInvalidBehavior, found.name, kind.name, b)
		}
		found = kind
	}
	if found != nil || len(k.byName) == 0 {
		k.byType.Store(behaviorType, found)
	}
	return found, nil
}

// typeName is the kind of a behaviour that no registered kind builds.
func typeName(b behavior) string {
	return strings.TrimPrefix(reflect.TypeOf(b).String(), "*")
}

func isNil(v any) bool {
	if v == nil {
		return true
	}
	value := reflect.ValueOf(v)
	return value.Kind() == reflect.Pointer && value.IsNil()
}
