package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

const repository = "../.."

// pages are the documents that users read.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repository, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	return append(found, filepath.Join(repository, "README.md"), filepath.Join(repository, "CHANGELOG.md"))
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// firstGroups are the first groups of all matches.
func firstGroups(pattern, text string) []string {
	var all []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestDocumentedTargets: what the pages tell people to make, the Makefile makes.
func TestDocumentedTargets(t *testing.T) {
	targets := firstGroups(`(?m)^([a-z-]+):`, readPage(t, filepath.Join(repository, "Makefile")))
	for _, page := range pages(t) {
		for _, target := range firstGroups("(?m)(?:^|`)make ([a-z-]+)", readPage(t, page)) {
			if !slices.Contains(targets, target) {
				t.Errorf("%s: make %s: the Makefile has %q", page, target, targets)
			}
		}
	}
}

// TestDocumentedCommandLines: commands and flags that the pages show exist.
func TestDocumentedCommandLines(t *testing.T) {
	root := (&program{}).root(nil, new(bool))
	shown := 0
	for _, page := range pages(t) {
		for _, line := range firstGroups("(?m)(?:^ *(?:\\$ )?|`|\\| )(?:bin/)?etc ([a-z][^`|\n]*)", readPage(t, page)) {
			shown++
			if err := checkLine(root, line); err != "" {
				t.Errorf("%s: etc %s: %s", page, line, err)
			}
		}
	}
	if shown < len(commands) {
		t.Errorf("%d command lines in the pages, want more than there are commands", shown)
	}
}

// checkLine says what is wrong with a command line, up to redirections and comments.
func checkLine(root *cobra.Command, line string) string {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	c, _, err := root.Find(words[:1])
	if err != nil || c == root {
		return "no such command"
	}
	for _, w := range words[1:] {
		name, isLong := strings.CutPrefix(w, "--")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case isLong && name != "help" && c.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil:
			return "no flag " + w
		case !isLong && len(w) == 2 && w[0] == '-' && c.Flags().ShorthandLookup(w[1:]) == nil && root.PersistentFlags().ShorthandLookup(w[1:]) == nil:
			return "no flag " + w
		}
	}
	return ""
}

// TestArchitectureListsCommands: the page has the program's commands, in order.
func TestArchitectureListsCommands(t *testing.T) {
	var want []string
	for _, c := range (&program{}).root(nil, new(bool)).Commands() {
		if c.Name() != "help" {
			want = append(want, c.Name())
		}
	}
	page := readPage(t, filepath.Join(repository, "docs", "architecture.md"))
	if got := firstGroups("(?m)^\\| `etc ([a-z]+)` \\|", page); !slices.Equal(got, want) {
		t.Errorf("docs/architecture.md lists the commands %q, the program has %q", got, want)
	}
}

// TestArchitectureListsFolders: the page has each folder that holds Go code.
func TestArchitectureListsFolders(t *testing.T) {
	var want []string
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "out" || len(name) > 2 && name[0] == '.'):
			return fs.SkipDir
		case filepath.Ext(name) == ".go":
			folder, err := filepath.Rel(repository, filepath.Dir(path))
			want = append(want, filepath.ToSlash(folder)+"/")
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	page := readPage(t, filepath.Join(repository, "docs", "architecture.md"))
	got := firstGroups("(?m)^\\| `([a-z0-9/-]+/)` \\|", page)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/architecture.md lists the folders\n%q, there are\n%q", got, want)
	}
}

// TestLinks: a link in a page leads to a file, and to a heading in it where it
// names one; README leads to each page.
func TestLinks(t *testing.T) {
	linked := map[string]bool{}
	for _, page := range pages(t) {
		for _, link := range firstGroups(`\]\(([^)]+)\)`, readPage(t, page)) {
			if strings.Contains(link, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			if filepath.Base(page) == "README.md" {
				linked[filepath.Clean(path)] = true
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("%s: link %s: %v", page, link, err)
			} else if anchor != "" && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: link %s: no such heading", page, link)
			}
		}
	}
	for _, page := range pages(t) {
		if filepath.Base(page) != "README.md" && !linked[filepath.Clean(page)] {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// anchors are the headings of a page as GitHub names them in links.
func anchors(page string) []string {
	headings := firstGroups(`(?m)^#+ (.*)$`, page)
	for i, h := range headings {
		h = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h), "")
		headings[i] = strings.ReplaceAll(h, " ", "-")
	}
	return headings
}

// TestNamedFiles: a file of the tree that a page names in backquotes is there.
// Names in capitals stand for any.
func TestNamedFiles(t *testing.T) {
	top := firstGroups("(?m)^\\| `([a-z]+)/", readPage(t, filepath.Join(repository, "docs", "architecture.md")))
	for _, page := range pages(t) {
		if filepath.Base(page) == "add-an-architecture.md" {
			continue // its files are yet to be written
		}
		for _, name := range firstGroups("`([a-z][a-z0-9_./-]*/[a-z0-9_.-]+)`", readPage(t, page)) {
			first, _, _ := strings.Cut(name, "/")
			if _, err := os.Stat(filepath.Join(repository, name)); err != nil && slices.Contains(top, first) {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
}

// TestNoMachinePaths: no file of the repository names a place of the machine
// that it was written on.
func TestNoMachinePaths(t *testing.T) {
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		t.Skipf("git ls-files: %v: this is no git checkout", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(repository, name))
		if os.IsNotExist(err) {
			continue // removed and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{"work", "root"} {
			if at := bytes.Index(text, []byte("/"+place+"/")); at >= 0 {
				t.Errorf("%s: line %d names /%s", name, 1+bytes.Count(text[:at], []byte("\n")), place)
			}
		}
	}
}
