// Command etc is the Efficient Transformer Compiler: it prunes, compiles and
// runs transformer encoders. docs/architecture.md shows how data flows.
//
// This package is the one place that composes the others, and the only user
// of cobra and viper. One file holds one command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode"

	"etc/fault"
	"etc/formats/mapped"
)

// version is set by the linker in a release; it is part of every plan.
var version = "0.1.0"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes of interrupted runs: 128 and the number of the signal.
const (
	exitHangup    = 129
	exitInterrupt = 130
	exitTerminate = 143
)

// grace is how long an interrupted command may take to end by itself. What
// does not look at its context by then, a long product say, is left behind.
const grace = time.Second

// run runs one command line and returns its exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // a reader that has gone is an error of the write
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	p := &program{in: in, out: &latch{w: out}, err: errOut, arguments: args}
	defer p.unfinished.discard()
	ended := make(chan error, 1)
	fault.Go(func() error {
		ended <- fault.Go(func() error {
			return mapped.Guard(func() error { return p.execute(ctx, args) })
		}).Wait()
		return nil
	})
	select {
	case err := <-ended:
		p.progress.clear()
		return report(errOut, err, p.verbose)
	case s := <-signals:
		if p.keeper.take() {
			return p.keeping(s, ended, signals)
		}
		cancel()
		p.unfinished.stop()
		return p.interrupted(s, ended, signals)
	}
}

// keeping waits for a command that keeps what it has, for as long as that takes
// or until a second signal comes.
func (p *program) keeping(s os.Signal, ended <-chan error, again <-chan os.Signal) int {
	if !p.quiet {
		fmt.Fprintln(p.err, "interrupted: the best found so far will be written; once more ends at once")
	}
	select {
	case err := <-ended:
		p.progress.clear()
		if err != nil {
			report(p.err, err, p.verbose)
			return signalCode(s)
		}
		if p.keeper.said == "" {
			return 0
		}
		fmt.Fprintf(p.err, "etc: interrupted (%v); %s\n", s, p.keeper.said)
	case <-again:
		p.abandon(s)
	}
	return signalCode(s)
}

// interrupted waits for a cancelled command, a while or until a second signal
// comes, removes what is unfinished, and returns the exit code. A command that
// ended well all the same has succeeded.
func (p *program) interrupted(s os.Signal, ended <-chan error, again <-chan os.Signal) int {
	select {
	case err := <-ended:
		p.progress.clear()
		if err == nil {
			return 0
		}
	case <-again:
	case <-time.After(grace):
	}
	p.abandon(s)
	return signalCode(s)
}

// abandon removes what is unfinished, and says so.
func (p *program) abandon(s os.Signal) {
	p.unfinished.discard()
	fmt.Fprintf(p.err, "etc: interrupted (%v); nothing unfinished was left\n", s)
}

// signalCode is the exit code of a run that a signal ended.
func signalCode(s os.Signal) int {
	switch s {
	case syscall.SIGHUP:
		return exitHangup
	case syscall.SIGTERM:
		return exitTerminate
	}
	return exitInterrupt
}

// report prints err for a person and returns its exit code.
func report(w io.Writer, err error, verbose bool) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, syscall.EPIPE) {
		return int(fault.Internal) // whoever read our output has gone, and wants no more
	}
	text := err.Error()
	if !verbose {
		text = twoLines(text)
	}
	fmt.Fprintf(w, "etc: %s\n", text)
	return int(fault.KindOf(err))
}

// twoLines keeps what a person needs of an error: what is wrong, and what to
// do. A longer text is a stack. Control characters of file names are shown,
// not sent to the terminal.
func twoLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 2 {
		lines = []string{lines[0], "this may be a fault of etc itself; with --verbose it tells more"}
	}
	for i, line := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, line)
	}
	return strings.Join(lines, "\n")
}

// A latch keeps the first error of a writer, so that printing need not look
// at each line.
type latch struct {
	w   io.Writer
	err error
}

func (l *latch) Write(b []byte) (n int, err error) {
	if l.err == nil {
		n, l.err = l.w.Write(b)
	}
	return n, l.err
}
