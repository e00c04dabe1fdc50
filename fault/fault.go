// Package fault holds the errors that a user can cause, by kind.
//
// Every package that reads something from outside reports what is wrong with
// it as an *Error; cmd/etc turns the kind into the exit code, docs/debugging.md.
// An error that is no *Error is an internal or I/O failure. A broken
// invariant of our own is no error at all but a panic that begins "bug:".
package fault

import (
	"errors"
	"fmt"
)

// A Kind says what was at fault. Its value is the process exit code.
type Kind int

const (
	Internal    Kind = 1  // internal or I/O failure
	Usage       Kind = 2  // wrong usage, missing input, existing output
	Unsupported Kind = 3  // model, operator or target not supported
	Corrupt     Kind = 4  // input corrupt, hostile or refused
	Unfit       Kind = 5  // plan does not fit this program or device
	Unavailable Kind = 6  // device or tool asked for is not there
	Tolerance   Kind = 7  // verification out of tolerance
	Unreachable Kind = 8  // accuracy or speed asked for cannot be reached
	Regressed   Kind = 9  // performance gate failed
	Memory      Kind = 10 // out of memory
)

// An Error is one or two lines for a person: what was found, what was wanted,
// and, in Hint, what to do.
type Error struct {
	Kind Kind
	Text string
	Hint string
	err  error
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Text + "\n" + e.Hint
	}
	return e.Text
}

func (e *Error) Unwrap() error { return e.err }

// Newf makes an error of kind k. Like fmt.Errorf it keeps an operand of %w.
func Newf(k Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: k, Text: err.Error(), err: errors.Unwrap(err)}
}

// WithHint sets the second line, what to do, and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// KindOf is the kind of err: that of the first *Error in its chain, else Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
