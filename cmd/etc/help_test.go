package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// synopsis is what users rely on: testdata/cli.md.
const synopsis = "testdata/cli.md"

// later are the flags and commands of issues that are still open, with the
// number of the issue. They are absent from the help, and unknown.
var later = map[string]map[string]int{}

// besides are flags that the synopsis leaves to the text of the page: those of
// all commands, those that belong to another one, and --device with its kin.
var besides = []string{"help", "quiet", "verbose", "config", "force", "json", "seconds", "columns"}

var deviceKin = []string{"device", "threads", "cpu-level", "max-batch-tokens", "truncate", "trust-key"}

// explainFlags are those of compile, which explain tries out.
var explainFlags = []string{"seqlen-buckets", "target", "dtype", "max-batch-tokens", "tuning", "source-only"}

// ownFlags are further flags that the synopsis leaves out.
var ownFlags = map[string][]string{
	"bench": {"json"}, "explain": explainFlags, "prune": {"spread"}, "tokenize": {"input"}, "tune": {"device"},
}

// synopses reads the line of each command.
func synopses(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(synopsis)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), ", etc ") {
			part, _ = strings.CutPrefix(strings.Join(strings.Fields(part), " "), "etc ")
			name, _, _ := strings.Cut(part, " ")
			if regexp.MustCompile(`^[a-z]+$`).MatchString(name) {
				lines[name] = part
			}
		}
	}
	return lines
}

var flagPattern = regexp.MustCompile(`(?:^|[ \[])--?([a-z][a-z-]*)`)

// flagsIn are the flags that a synopsis names.
func flagsIn(line string) (names []string) {
	for _, m := range flagPattern.FindAllStringSubmatch(line, -1) {
		name := m[1]
		if name == "o" {
			name = "output"
		}
		names = append(names, name)
	}
	return names
}

func testTree() []*cobra.Command {
	p := &program{out: &latch{w: io.Discard}, err: io.Discard}
	return p.root(nil, new(bool)).Commands()
}

// TestHelp: the program's help and the synopsis name the same commands,
// arguments and flags.
func TestHelp(t *testing.T) {
	lines := synopses(t)
	seen := map[string]bool{}
	for _, c := range testTree() {
		name := c.Name()
		seen[name] = true
		line, ok := lines[name]
		if !ok {
			if name != "help" {
				t.Errorf("command %s is not in %s", name, synopsis)
			}
			continue
		}
		if !strings.HasPrefix(line+" ", c.Use+" ") {
			t.Errorf("help says %q, %s %q", c.Use, synopsis, line)
		}
		wanted := flagsIn(line)
		for _, flag := range wanted {
			_, isLater := later[name][flag]
			if found := c.Flags().Lookup(flag) != nil; found == isLater {
				t.Errorf("%s --%s: in the program %v, of a later issue %v", name, flag, found, isLater)
			}
		}
		allowed := slices.Concat(wanted, besides, ownFlags[name])
		if slices.Contains(wanted, "device") {
			allowed = append(allowed, deviceKin...)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(allowed, f.Name) {
				t.Errorf("%s --%s is not in %s", name, f.Name, synopsis)
			}
		})
	}
	for name := range lines {
		if _, isLater := later[name]; !seen[name] && !isLater {
			t.Errorf("no command %s", name)
		}
	}
}

// TestLater: what belongs to an open issue is unknown, and the help is silent
// about it.
func TestLater(t *testing.T) {
	lines := synopses(t)
	for name, flags := range later {
		help := help(t, name)
		if flags == nil {
			wantExit(t, 2, name)
		}
		for flag := range flags {
			if !slices.Contains(flagsIn(lines[name]), flag) {
				t.Errorf("%s --%s is not in %s", name, flag, synopsis)
			}
			wantExit(t, 2, name, "x", "--"+flag, "x")
			if strings.Contains(help, "--"+flag) {
				t.Errorf("the help of %s names --%s", name, flag)
			}
		}
	}
}

// help is the help of a command, or of the program where there is none.
func help(t *testing.T, name string) string {
	t.Helper()
	var out strings.Builder
	args := []string{name, "--help"}
	if !slices.ContainsFunc(testTree(), func(c *cobra.Command) bool { return c.Name() == name }) {
		args = args[1:]
	}
	if code := run(args, nil, &out, io.Discard); code != 0 {
		t.Fatalf("etc %v: exit %d", args, code)
	}
	return out.String()
}

func wantExit(t *testing.T, want int, args ...string) {
	t.Helper()
	var errOut strings.Builder
	if code := run(args, strings.NewReader(""), io.Discard, &errOut); code != want {
		t.Errorf("etc %v: exit %d, want %d: %s", args, code, want, errOut.String())
	}
}

// TestModelsSynopsis: the copy of the synopsis is that of the shared page.
func TestModelsSynopsis(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(shared, "cli.md"))
	if err != nil {
		t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
	}
	block := regexp.MustCompile("(?ms)^```$.*?^```$")
	own, err := os.ReadFile(synopsis)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := block.Find(own), block.Find(page); want == nil || string(got) != string(want) {
		t.Errorf("%s is not the synopsis of ../shared/cli.md", synopsis)
	}
}
