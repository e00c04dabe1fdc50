package main

import (
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
)

// documentedKeys are the keys of each record of docs/json.md, by heading, and
// whether they are optional.
func documentedKeys(t *testing.T) map[string]map[string]bool {
	t.Helper()
	page, err := os.ReadFile(moduleRoot + "/docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| `([^`]+)` \\|[^|]*\\| (optional)?")
	records := map[string]map[string]bool{}
	heading := ""
	for line := range strings.Lines(string(page)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(title)
			records[heading] = map[string]bool{}
		}
		if m := row.FindStringSubmatch(line); m != nil {
			records[heading][m[1]] = m[2] != ""
		}
	}
	return records
}

// maps whose keys are data, not names of the record.
var openMaps = []string{"metrics", "operators"}

// addKeys collects the keys of a value: a.b, a[] for elements, a.* for any key.
func addKeys(keys map[string]bool, at string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if slices.Contains(openMaps, at) {
				name = "*"
			}
			addKeys(keys, strings.TrimPrefix(at+"."+name, "."), member)
		}
	case []any:
		for _, element := range v {
			addKeys(keys, at+"[]", element)
		}
	default:
		keys[at] = true
	}
}

// TestJSONKeys: docs/json.md lists the keys of every record, and no others.
func TestJSONKeys(t *testing.T) {
	folder := t.TempDir()
	in := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(args ...string) string {
		var out, errOut strings.Builder
		if code := run(args, strings.NewReader(""), &out, &errOut); code != 0 && code != 4 {
			t.Fatalf("etc %v: exit %d: %s", args, code, errOut.String())
		}
		return out.String()
	}
	random := func(seed uint64, class string) string {
		dir := frontendtest.Random(t, rand.New(rand.NewPCG(seed, 0)), class, frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 8, Inner: 48})
		plan := filepath.Join(folder, class)
		must("compile", dir, "-o", plan)
		return plan
	}
	embedder, decoder := random(1, "BertModel"), random(2, "GPT2LMHeadModel")
	plan, other, dump := filepath.Join(folder, "p.etp"), filepath.Join(folder, "q.etp"), filepath.Join(folder, "ir")
	rows := in("rows.jsonl", "{\"id\": 1, \"text\": \"good\"}\n{\"id\": 2}\n")
	ids := in("ids.jsonl", "{\"ids\": [1, 2, 3], \"type_ids\": [0, 0, 0]}\n")
	must("prune", tinyModel, "-o", filepath.Join(folder, "pruned"), "--sparsity", "0.4")
	must("compile", filepath.Join(folder, "pruned"), "-o", other)
	compiled := must("compile", tinyModel, "-o", plan, "--json", "--dump-ir", dump)
	graphs, err := filepath.Glob(filepath.Join(dump, "*.ir"))
	if err != nil || len(graphs) == 0 {
		t.Fatal("no dump", err)
	}
	_, coded := madeUpPlan(t, compiler.Options{Targets: []string{"sm_80:f16"}, NVRTC: madeUp{}})
	record := must("bench", plan, "--json", "--batch", "1", "--seqlen", "8", "--seconds", "0.01")
	baseline := in("baseline.json", record)
	got := map[string]string{
		"compile":                compiled,
		"eval":                   must("eval", plan, "--data", devRows, "--limit", "8", "--json"),
		"verify":                 must("verify", plan, "--reference", tinyModel, "--layers", "--json"),
		"bench":                  must("bench", plan, "--json", "--batch", "1", "--seqlen", "8", "--seconds", "0.01", "--baseline", baseline, "--max-regress", "100000%"),
		"inspect, of a plan":     must("inspect", plan, "--json", "--memory") + must("inspect", coded, "--json", "--kernels") + must("inspect", decoder, "--json"),
		"inspect, of graph text": must("inspect", graphs[0], "--json"),
		"explain":                must("explain", tinyModel, "--json") + must("explain", plan, "--json") + must("explain", tinyModel, "--target", "sm_80", "--json") + must("explain", coded, "--json"),
		"diff":                   must("diff", plan, other, "--json") + must("diff", plan, embedder, "--json"),
		"Lines of run":           must("run", plan, "--input", rows, "--probabilities") + must("run", embedder, "--input", ids, "--hidden") + must("run", decoder, "--input", ids, "--logits", "--last-logits"),
		"Lines of tokenize":      must("tokenize", plan, "--input", rows) + must("tokenize", plan, "--input", ids),
		"inspect, of a checkpoint or a .safetensors file": must("inspect", tinyModel, "--json") + must("inspect", filepath.Join(tinyModel, "model.safetensors"), "--json"),
	}
	documented := documentedKeys(t)
	for _, heading := range slices.Sorted(maps.Keys(documented)) {
		keys := map[string]bool{}
		for d := json.NewDecoder(strings.NewReader(got[heading])); ; {
			var value any
			if err := d.Decode(&value); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", heading, err)
			}
			addKeys(keys, "", value)
			checkCommonKeys(t, heading, value.(map[string]any))
		}
		for key := range keys {
			if _, ok := documented[heading][key]; !ok {
				t.Errorf("%s: key %s is not in docs/json.md", heading, key)
			}
		}
		for key, optional := range documented[heading] {
			if !keys[key] && !optional {
				t.Errorf("%s: docs/json.md has key %s, the record has not", heading, key)
			}
		}
	}
	for heading := range got {
		if documented[heading] == nil {
			t.Errorf("docs/json.md has no %q", heading)
		}
	}
}

// checkCommonKeys: every record has its version, and one of a plan names it.
func checkCommonKeys(t *testing.T, heading string, record map[string]any) {
	t.Helper()
	if strings.HasPrefix(heading, "Lines") {
		return
	}
	if record["schema"] != 1.0 {
		t.Errorf("%s: schema %v", heading, record["schema"])
	}
	if plan, ok := record["plan"].(string); ok && (len(plan) != 64 || record["device"] == nil) {
		t.Errorf("%s: plan %q, device %v", heading, plan, record["device"])
	}
}
