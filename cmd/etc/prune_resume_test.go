//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// searchFor are the arguments of a search on the tiny model.
func searchFor(out string, more ...string) []string {
	return append([]string{"prune", tinyModel, "-o", out, "--eval", devRows, "--max-drop", "1%", "-v"}, more...)
}

var answersPattern = regexp.MustCompile(`(?m)^cache .*: (\d+) answers known, (\d+) found$`)

// answersIn reads how many answers a run knew and found.
func answersIn(t *testing.T, said string) (known, found int) {
	t.Helper()
	m := answersPattern.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("nothing is said of the cache: %s", said)
	}
	known, _ = strconv.Atoi(m[1])
	found, _ = strconv.Atoi(m[2])
	return known, found
}

// pruneOK runs a search in a cache that must succeed.
func pruneOK(t *testing.T, cache, out string) (said string) {
	t.Helper()
	t.Setenv("ETC_CACHE_DIR", cache)
	code, said := codeOf(searchFor(out)...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, said)
	}
	return said
}

// wantSameFolder compares the files of two pruned models.
func wantSameFolder(t *testing.T, what, a, b string) {
	t.Helper()
	files := filesIn(t, a)
	if len(files) != len(filesIn(t, b)) {
		t.Errorf("%s: other files", what)
	}
	for _, path := range files {
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := os.ReadFile(filepath.Join(b, filepath.Base(path))); err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s: %s differs: %v", what, filepath.Base(path), err)
		}
	}
}

// filesIn are the files of a folder and those inside it.
func filesIn(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestPruneFromCache: with an empty cache, a full one, one in which every file
// is damaged, and none at all, the same bytes come out; a full one leaves
// nothing to find.
func TestPruneFromCache(t *testing.T) {
	cache, dir := t.TempDir(), t.TempDir()
	cold := filepath.Join(dir, "cold")
	known, found := answersIn(t, pruneOK(t, cache, cold))
	if known != 0 || found < 20 {
		t.Errorf("cold: %d known, %d found", known, found)
	}
	warm := filepath.Join(dir, "warm")
	if known, found := answersIn(t, pruneOK(t, cache, warm)); known == 0 || found != 0 {
		t.Errorf("warm: %d known, %d found", known, found)
	}
	wantSameFolder(t, "warm", cold, warm)
	for i, path := range filesIn(t, filepath.Join(cache, "prune")) {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			file = file[:len(file)/2]
		case 1:
			file[len(file)-2] ^= 1
		case 2:
			file = []byte("not of this program")
		}
		if err := os.WriteFile(path, file, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	damaged := filepath.Join(dir, "damaged")
	if known, again := answersIn(t, pruneOK(t, cache, damaged)); known != 0 || again != found {
		t.Errorf("damaged: %d known, %d found, want all %d", known, again, found)
	}
	wantSameFolder(t, "damaged", cold, damaged)
	none, file := filepath.Join(dir, "none"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	pruneOK(t, file, none)
	wantSameFolder(t, "without a cache", cold, none)
}

// A search is a run of etc prune in a process of its own.
type searching struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner
	said  strings.Builder
}

// startSearch begins a search with a cache.
func startSearch(t *testing.T, cache string, args ...string) *searching {
	t.Helper()
	s := &searching{Cmd: exec.Command("etc", args...), t: t}
	s.Env = append(os.Environ(), "ETC_CACHE_DIR="+cache)
	errOut, err := s.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.lines = bufio.NewScanner(errOut)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(3*time.Minute, func() { s.Process.Kill() })
	t.Cleanup(func() { stuck.Stop() })
	return s
}

// until reads what is said up to a line with that text.
func (s *searching) until(text string) {
	s.t.Helper()
	for s.lines.Scan() {
		fmt.Fprintln(&s.said, s.lines.Text())
		if strings.Contains(s.lines.Text(), text) {
			return
		}
	}
	s.t.Fatalf("%q is not said: %s", text, s.said.String())
}

// end reads the rest, waits, and returns the exit code.
func (s *searching) end() int {
	s.t.Helper()
	for s.lines.Scan() {
		fmt.Fprintln(&s.said, s.lines.Text())
	}
	return exitCode(s.t, s.Cmd)
}

func (s *searching) signal(what syscall.Signal) {
	s.t.Helper()
	if err := s.Process.Signal(what); err != nil {
		s.t.Fatal(err)
	}
}

// TestPruneResumes: after an interrupt nothing is left in the place of the
// output; the same command then finds only what the first had not, and ends
// with the bytes of a run that nobody interrupted.
func TestPruneResumes(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	_, all := answersIn(t, pruneOK(t, t.TempDir(), whole))
	cache, out := t.TempDir(), t.TempDir()
	first := startSearch(t, cache, searchFor(filepath.Join(out, "pruned"))...)
	first.until("search rows: accuracy")
	first.signal(syscall.SIGINT)
	if code := first.end(); code != exitInterrupt || !strings.Contains(first.said.String(), "nothing unfinished was left") {
		t.Fatalf("exit %d: %s", code, first.said.String())
	}
	wantEmpty(t, out)
	kept := len(filesIn(t, filepath.Join(cache, "prune")))
	resumed := filepath.Join(dir, "resumed")
	known, found := answersIn(t, pruneOK(t, cache, resumed))
	if kept < 10 || kept >= all || known < kept || found > all-kept {
		t.Errorf("of %d answers %d were kept; then %d known and %d found", all, kept, known, found)
	}
	wantSameFolder(t, "resumed", whole, resumed)
}

// TestKeepBest: an interrupt writes the best that was inside, whole, as a model
// that compiles and says that it was not accepted; a second one ends at once.
// Before there is any, nothing is written.
func TestKeepBest(t *testing.T) {
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: exitInterrupt, syscall.SIGTERM: exitTerminate} {
		dir := t.TempDir()
		out := filepath.Join(dir, "pruned")
		s := startSearch(t, t.TempDir(), searchFor(out, "--keep-best", "--report", filepath.Join(dir, "page.html"))...)
		s.until("allowed 1%: inside")
		s.signal(signal)
		code, said := s.end(), s.said.String()
		if code != want || !strings.Contains(s.said.String(), "the best found so far is in "+out) || strings.Contains(said, "accept rows: ") {
			t.Fatalf("%v: exit %d: %s", signal, code, said)
		}
		text, err := os.ReadFile(filepath.Join(out, "etc-recipe.json"))
		if err != nil {
			t.Fatal(err)
		}
		var recipe struct{ Cut string }
		if err := json.Unmarshal(text, &recipe); err != nil || !strings.Contains(recipe.Cut, "interrupted") || !strings.Contains(recipe.Cut, "accept rows were not asked") {
			t.Errorf("recipe says %q, %v", recipe.Cut, err)
		}
		checkPruned(t, tinyModel, out, "obs, over ")
		mustRun(t, "compile", out, "-o", filepath.Join(dir, "p.etp"), "--quiet")
		page, err := os.ReadFile(filepath.Join(dir, "page.html"))
		if err != nil || !strings.Contains(string(page), "accept rows were not asked") {
			t.Errorf("the report does not say so: %v", err)
		}
	}
}

// TestKeepBestOfNothing: with nothing inside, nothing is written.
func TestKeepBestOfNothing(t *testing.T) {
	out := t.TempDir()
	args := append(searchFor(filepath.Join(out, "pruned"), "--keep-best"), "--max-drop", "0%", "--method", "structured:magnitude")
	s := startSearch(t, t.TempDir(), args...)
	s.until(": outside")
	s.signal(syscall.SIGINT)
	if code := s.end(); code != exitInterrupt || !strings.Contains(s.said.String(), "nothing was written") {
		t.Errorf("exit %d: %s", code, s.said.String())
	}
	wantEmpty(t, out)
}

// TestSecondInterruptEndsAtOnce: also a run that keeps its best.
func TestSecondInterruptEndsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGINT
	var said bytes.Buffer
	p := &program{err: &said}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := p.unfinished.begin(out, func(name string) error { return os.Mkdir(name, 0o777) }); err != nil {
		t.Fatal(err)
	}
	if code := p.keeping(syscall.SIGTERM, make(chan error), signals); code != exitTerminate {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(said.String(), "nothing unfinished was left") {
		t.Errorf("said %q", said.String())
	}
	wantEmpty(t, filepath.Dir(out))
}
