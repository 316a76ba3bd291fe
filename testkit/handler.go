package testkit

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/actorkeep/ego"
)

// protect calls a method of a behaviour and turns its panic into an error.
func protect(handler string, call func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &ego.PanicError{Handler: handler, Value: value, Stack: debug.Stack()}
		}
	}()
	return call()
}

// A handlerError is why the engine refuses a command.
type handlerError struct {
	code  string // given by ego; empty when the handler's own error decides
	cause error
}

func (e *handlerError) Error() string { return e.cause.Error() }

// invalid refuses a command because a handler broke its contract.
func invalid(format string, args ...any) *handlerError {
	return &handlerError{code: ego.CodeInvalid, cause: fmt.Errorf(format, args...)}
}

// A refusedError is a failed command as the caller of SendCommand sees it: a [ego.CommandError], and behind it the
// handler's own error.
type refusedError struct {
	public *ego.CommandError
	cause  error
}

func (e *refusedError) Error() string   { return e.public.Error() }
func (e *refusedError) Unwrap() []error { return []error{e.public, e.cause} }

// refused returns the error with which the engine answers a command.
func refused(entityID, command string, failure *handlerError) error {
	public := &ego.CommandError{EntityID: entityID, Command: command, Code: failure.code, Message: failure.cause.Error()}
	if _, panicked := errors.AsType[*ego.PanicError](failure.cause); panicked {
		public.Code = ego.CodePanic
	}
	if rejection, ok := errors.AsType[*ego.CommandError](failure.cause); ok && public.Code == "" {
		public.Code = rejection.Code
	}
	if public.Code == "" {
		public.Code = ego.CodeRejected
	}
	return &refusedError{public: public, cause: failure.cause}
}

// explain is the message of an error, with the stack of the panic that it reports.
func explain(err error) string {
	panicked, ok := errors.AsType[*ego.PanicError](err)
	if !ok {
		return err.Error()
	}
	stack := string(panicked.Stack)
	if _, handler, found := strings.Cut(stack, "\npanic("); found { // what is above is this package
		if _, below, found := strings.Cut(handler, "\n\t"); found {
			_, stack, _ = strings.Cut(below, "\n")
		}
	}
	return err.Error() + indent(strings.TrimSpace(stack))
}

// indent puts a text on lines of its own.
func indent(text string) string {
	return "\n    " + strings.ReplaceAll(text, "\n", "\n    ")
}
