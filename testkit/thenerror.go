package testkit

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/actorkeep/ego"
	"github.com/actorkeep/ego/testkit/internal/protodiff"
)

// checkError compares the error of a command with what the test expects, and marks it as expected when it is.
func (o *outcome) checkError(target any) error {
	want, matches, err := matcher(target)
	if err != nil {
		return err
	}
	return o.expect(want, matches(o.err))
}

// checkCode compares the code with which a command was refused.
func (o *outcome) checkCode(code string) error {
	if code == "" {
		return errors.New("the code to compare with is empty")
	}
	refusal, ok := errors.AsType[*ego.CommandError](o.err)
	return o.expect(fmt.Sprintf("the code %q", code), ok && refusal.Code == code)
}

// expect marks the error as expected when it matches, else says how it does not.
func (o *outcome) expect(want string, matches bool) error {
	switch {
	case matches:
		o.expected = true
		return nil
	case o.err == nil:
		return fmt.Errorf("want %s, got success%s", want, o.success())
	default:
		return fmt.Errorf("the error differs:\n    want %s\n    got  %s", want, explain(o.err))
	}
}

// success says what a command that succeeded did.
func (o *outcome) success() string {
	switch {
	case o.state != nil:
		return indent("new state: " + protodiff.Format(o.state))
	case len(o.events) > 0:
		return indent(list(o.events))
	default:
		return ", and nothing changed"
	}
}

// matcher returns what matches a target of ThenError, and what to call that.
func matcher(target any) (want string, matches func(err error) bool, problem error) {
	if isNilPointer(target) {
		return "", nil, fmt.Errorf("the %T to compare with is nil", target)
	}
	switch target := target.(type) {
	case nil:
		return "success", func(err error) bool { return err == nil }, nil
	case string:
		if target == "" {
			return "", nil, errors.New("the text to look for is empty")
		}
		return fmt.Sprintf("an error that contains %q", target), containing(target), nil
	case *ego.CommandError:
		return fmt.Sprintf("a refusal like %s", refusalText(target)), refusedLike(target), nil
	case *ego.PanicError:
		return fmt.Sprintf("a panic like {Handler:%q Value:%v}", target.Handler, target.Value), panickedLike(target), nil
	case error:
		return fmt.Sprintf("an error that is %T %q", target, target), func(err error) bool { return errors.Is(err, target) }, nil
	}
	if !isErrorPointer(target) {
		return "", nil, fmt.Errorf("it takes an error, a text, or a pointer as errors.As does, not %T", target)
	}
	return fmt.Sprintf("an error of type %s", reflect.TypeOf(target).Elem()), func(err error) bool { return errors.As(err, target) }, nil
}

func containing(text string) func(error) bool {
	return func(err error) bool { return err != nil && strings.Contains(err.Error(), text) }
}

// refusedLike matches refusals that have the fields of the target, as far as it has any.
func refusedLike(target *ego.CommandError) func(error) bool {
	return func(err error) bool {
		refusal, ok := errors.AsType[*ego.CommandError](err)
		return errors.Is(err, target) || ok &&
			like(target.EntityID, refusal.EntityID) && like(target.Command, refusal.Command) &&
			like(target.Code, refusal.Code) && like(target.Message, refusal.Message)
	}
}

// panickedLike matches panics of the handler and with the value of the target, as far as it has any.
func panickedLike(target *ego.PanicError) func(error) bool {
	return func(err error) bool {
		panicked, ok := errors.AsType[*ego.PanicError](err)
		return ok && like(target.Handler, panicked.Handler) &&
			(target.Value == nil || reflect.DeepEqual(target.Value, panicked.Value))
	}
}

func refusalText(target *ego.CommandError) string {
	return fmt.Sprintf("{EntityID:%q Command:%q Code:%q Message:%q}", target.EntityID, target.Command, target.Code, target.Message)
}

func like(want, got string) bool { return want == "" || want == got }

func isNilPointer(target any) bool {
	value := reflect.ValueOf(target)
	return value.Kind() == reflect.Pointer && value.IsNil()
}

// isErrorPointer reports whether errors.As takes a target.
func isErrorPointer(target any) bool {
	pointed := reflect.TypeOf(target)
	if pointed.Kind() != reflect.Pointer {
		return false
	}
	pointed = pointed.Elem()
	return pointed.Kind() == reflect.Interface || pointed.Implements(reflect.TypeFor[error]())
}
