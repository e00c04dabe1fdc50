package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A progress shows how far a run is: a bar that is drawn again on a terminal,
// a plain line at most every ten seconds elsewhere, nothing with --quiet.
type progress struct {
	out     io.Writer
	bar     bool
	stage   string
	start   time.Time
	shown   time.Time
	visible bool
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

func (p *program) newProgress() *progress {
	if p.quiet {
		return nil
	}
	f, ok := p.err.(*os.File)
	bar := ok && term.IsTerminal(int(f.Fd())) && os.Getenv("CI") == "" && os.Getenv("NO_COLOR") == ""
	return &progress{out: p.err, bar: bar, start: time.Now(), shown: time.Now()}
}

// set says that done of total are done in a stage; total 0 means unknown.
func (g *progress) set(stage string, done, total int) {
	if g == nil {
		return
	}
	if stage != g.stage {
		g.clear()
		g.stage, g.start, g.shown = stage, time.Now(), time.Now()
	}
	every := lineEvery
	if g.bar {
		every = barEvery
	}
	if time.Since(g.shown) < every {
		return
	}
	g.shown = time.Now()
	text := fmt.Sprintf("%s: %d", stage, done)
	if total > 0 {
		left := time.Duration(float64(time.Since(g.start)) / float64(max(done, 1)) * float64(total-done))
		text = fmt.Sprintf("%s: %d%%, %v left", stage, 100*done/total, left.Round(time.Second))
	}
	if !g.bar {
		fmt.Fprintln(g.out, text)
		return
	}
	filled := 0
	if total > 0 {
		filled = barWidth * done / total
	}
	fmt.Fprintf(g.out, "\r\x1b[K[%s%s] %s", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), text)
	g.visible = true
}

// clear takes the bar away.
func (g *progress) clear() {
	if g != nil && g.visible {
		fmt.Fprint(g.out, "\r\x1b[K")
		g.visible = false
	}
}
