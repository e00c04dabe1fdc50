package irtest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func (r *recorder) Helper() {}

func (r *recorder) Fatal(args ...any) {
	fmt.Fprint(&r.text, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	fmt.Fprintf(&r.text, format, args...)
	runtime.Goexit()
}

// A recorder is a testing.TB that keeps what a failed check says.
type recorder struct {
	testing.TB
	text strings.Builder
}
