package main

import (
	"errors"
	"regexp"

	"github.com/spf13/pflag"
)

// A decimal is a flag that takes a whole number as people write it. Pflag
// would read 010 as 8, and 0x20 and 1_000 as numbers too.
type decimal struct{ pflag.Value }

var decimalPattern = regexp.MustCompile(`^[+-]?(0|[1-9][0-9]*)$`)

func (d decimal) Set(text string) error {
	if !decimalPattern.MatchString(text) {
		return errors.New("want a whole number in decimal digits")
	}
	return d.Value.Set(text)
}

// readDecimal makes a flag with a whole number a decimal.
func readDecimal(f *pflag.Flag) {
	switch f.Value.Type() {
	case "int", "uint64":
		f.Value = decimal{f.Value}
	}
}
