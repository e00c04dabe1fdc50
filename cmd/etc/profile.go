package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"etc/executor/cpu"
	"etc/fault"
	"etc/formats/plan"
)

// A profile writes what workers did as a Chrome trace, for chrome://tracing or
// Perfetto: one event for each step (or its first phase) and worker, in the order of batches.
type profile struct {
	out   *bufio.Writer
	began time.Time
	count int
	err   error
}

// A traceEvent is a complete event ("X") of the trace format; times are in µs.
type traceEvent struct {
	Name     string    `json:"name"`
	Category string    `json:"cat"`
	Phase    string    `json:"ph"`
	At       float64   `json:"ts"`
	Duration float64   `json:"dur"`
	Process  int       `json:"pid"`
	Thread   int       `json:"tid"` // worker
	Args     traceArgs `json:"args"`
}

// traceArgs is what a trace viewer shows of an event. Busy is the time within
// tasks, in µs: what is missing to the duration is waiting for other workers.
type traceArgs struct {
	Step   int     `json:"step"`
	Tokens int     `json:"tokens"` // of the rows that were computed together
	Tasks  int     `json:"tasks"`
	Busy   float64 `json:"busy_us"`
	GFLOPS float64 `json:"gflops"`
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// add is cpu.Options.Profile.
func (t *profile) add(p *plan.Program, events []cpu.Event) {
	for i := range events {
		e := &events[i]
		s := &p.Steps[e.Step]
		name := s.Label + " " + s.Op.String()
		if e.First {
			name += ": rows to integers"
		}
		record := traceEvent{
			Name: name, Category: s.Op.String(), Phase: "X",
			At: micros(e.From.Sub(t.began)), Duration: micros(e.To.Sub(e.From)), Process: 1, Thread: e.Worker,
			Args: traceArgs{e.Step, e.Tokens, e.Tasks, micros(e.Busy), gflops(e.MACs, e.Busy)},
		}
		text, err := json.Marshal(&record)
		if err == nil {
			separator := ",\n"
			if t.count == 0 {
				separator = "\n"
			}
			_, err = fmt.Fprintf(t.out, "%s%s", separator, text)
		}
		if t.err == nil {
			t.err = err
		}
		t.count++
	}
}

// gflops counts two operations for each multiply-add; 0 for a time too short
// for the clock.
func gflops(macs float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return 2 * macs / float64(d.Nanoseconds())
}

// profiled calls do, and writes its trace to path, if there is one. do passes
// the profile on to the device.
func (p *program) profiled(path string, do func(*profile) error) error {
	if path == "" {
		return do(nil)
	}
	if err := p.checkOutput(path); err != nil {
		return err
	}
	return p.create(path, func(f *os.File) error {
		t := &profile{out: bufio.NewWriter(f), began: time.Now()}
		if _, err := io.WriteString(t.out, `{"displayTimeUnit":"ms","traceEvents":[`); err != nil {
			return err
		}
		if err := do(t); err != nil {
			return err
		}
		if _, err := io.WriteString(t.out, "\n]}\n"); err != nil {
			return err
		}
		if err := t.out.Flush(); t.err == nil {
			t.err = err
		}
		return t.err
	})
}

// checkProfile refuses a profile of a device that has no clock for each step.
func checkProfile(s *session) error {
	if _, ok := s.Device().(*cpu.Device); !ok {
		return fault.Newf(fault.Usage, "--profile: %s does not time its steps", s.Device().Name()).WithHint("--device cpu does")
	}
	return nil
}
