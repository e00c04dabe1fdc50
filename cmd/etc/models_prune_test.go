package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// prunedTextBytes is how much of a text the search looks at: 70 windows.
const prunedTextBytes = 60_000

// TestModelsPruneByPerplexity: a text is judged in windows, some for the
// search and some to accept, and what is found stays inside on both.
func TestModelsPruneByPerplexity(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(shared, "data", "wikitext2", "valid.txt"))
	if err != nil {
		t.Fatalf("%v\nthis test needs ../shared beside the checkout", err)
	}
	dir := t.TempDir()
	part, pruned := filepath.Join(dir, "part.txt"), filepath.Join(dir, "pruned")
	if err := os.WriteFile(part, text[:prunedTextBytes], 0o666); err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	args := []string{"prune", filepath.Join(shared, "models", "gpt2-wikitext"), "-o", pruned, "--eval", part, "--max-drop", "3%"}
	if code := run(args, strings.NewReader(""), &out, &said); code != 0 {
		t.Fatalf("exit %d: %s", code, said.String())
	}
	judged := regexp.MustCompile(`(?m)^(search|accept) rows: perplexity [0-9.]+, dense ([0-9.]+): drop .*, allowed 3%: (?:in|out)side$`)
	dense := map[string]string{}
	for _, m := range judged.FindAllStringSubmatch(said.String(), -1) {
		dense[m[1]] = m[2]
	}
	if len(dense) != 2 || dense["search"] == dense["accept"] {
		t.Errorf("dense perplexities by half %v, want two that differ: %s", dense, said.String())
	}
	checkPruned(t, filepath.Join(shared, "models", "gpt2-wikitext"), pruned, "obs, over ")
}
