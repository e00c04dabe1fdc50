package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A progress shows how far a stage of a run is, on standard error: a bar that
// is drawn again on a terminal, a plain line now and then elsewhere. It has no
// colours, so NO_COLOR asks for nothing more. A nil progress shows nothing.
type progress struct {
	out     io.Writer
	bar     bool
	stage   string
	also    string // what else is told, "" for nothing
	start   time.Time
	shown   time.Time
	visible bool
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

// newProgress begins a stage; with --quiet it is nil. CI systems keep a log,
// where a bar would be garbage even if they give the program a terminal.
func (p *program) newProgress(stage string) *progress {
	if p.quiet {
		return nil
	}
	f, ok := p.err.(*os.File)
	bar := ok && os.Getenv("CI") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
	now := time.Now()
	p.progress = &progress{out: p.err, bar: bar, stage: stage, start: now, shown: now}
	return p.progress
}

// tell adds something to what is shown from now on.
func (g *progress) tell(also string) {
	if g != nil {
		g.also = also
	}
}

// set says that done of total are done.
func (g *progress) set(done, total int) {
	if g == nil {
		return
	}
	every := lineEvery
	if g.bar {
		every = barEvery
	}
	now := time.Now()
	if now.Sub(g.shown) < every {
		return
	}
	g.shown = now
	text := g.text(done, total, now.Sub(g.start))
	if !g.bar {
		fmt.Fprintln(g.out, text)
		return
	}
	filled := barWidth * done / max(total, 1)
	fmt.Fprintf(g.out, "\r\x1b[K[%s%s] %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), text)
	g.visible = true
}

// text is percent and time left, by the pace so far, and what else is told.
func (g *progress) text(done, total int, spent time.Duration) string {
	text := fmt.Sprintf("%s: %d%%", g.stage, 100*done/max(total, 1))
	if done > 0 {
		left := time.Duration(float64(spent) / float64(done) * float64(total-done))
		text = fmt.Sprintf("%s, %v left", text, left.Round(time.Second))
	}
	if g.also != "" {
		text += ", " + g.also
	}
	return text
}

// clear takes the bar away.
func (g *progress) clear() {
	if g != nil && g.visible {
		fmt.Fprint(g.out, "\r\x1b[K")
		g.visible = false
	}
}
